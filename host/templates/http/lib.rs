//! The service, which speaks HTTP itself.

atoll_guest::http_service!(answer);

use atoll_guest::http::{Problem, Request, Response, decode_segment};

async fn answer(request: &Request) -> Result<Response, Problem> {
    match (request.method(), request.segments().as_slice()) {
        ("GET", [person]) => Ok(Response::text(200, format!("Hello, {}!\n", decode_segment(person)))),
        (_, [_]) => Err(Problem::method_not_allowed("GET, HEAD")),
        _ => Err(Problem::not_found("there is nothing at this path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_guest::memory::block_on;

    #[test]
    fn somebody_is_greeted_and_other_paths_are_not_there() {
        let greeted = block_on(answer(&Request::new("GET", "/Ada"))).expect("Ada is greeted");
        assert_eq!((greeted.status, greeted.body.as_slice()), (200, b"Hello, Ada!\n".as_slice()));
        let lost = block_on(answer(&Request::new("GET", "/Ada/Bob"))).expect_err("there is no such path");
        assert_eq!(lost.status(), 404);
    }
}
