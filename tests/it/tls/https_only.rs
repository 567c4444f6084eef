//! What a gateway with TLS does about plain HTTP.

use super::super::atoll::Http;
use super::{GET, TlsHome};

#[tokio::test]
async fn plain_http_is_sent_to_https_and_browsers_are_told_to_stay() {
    let home = TlsHome::new("redirect = true\nhsts = '180d'");
    let atoll = home.home.start().await;
    let port = atoll.secure.rsplit_once(':').unwrap().1;
    let http = Http::default();
    for (method, path) in [("GET", "/hello?a=1&b=%20"), ("POST", "/"), ("GET", "/no/route")] {
        let request = http::Request::builder().method(method).uri(format!("{}{path}", atoll.gateway));
        let answer = http.send(request.header("host", "shop.example:8080"), "body").await;
        let location = format!("https://shop.example:{port}{path}");
        assert_eq!((answer.status.as_u16(), answer.header("location")), (308, &*location), "{method}");
        assert_eq!(answer.header("strict-transport-security"), "", "never without TLS (RFC 6797, section 7.2)");
        assert!(answer.problem()["type"].as_str().unwrap().ends_with("https-only"));
    }
    // What is no path of a route is no URL to go to.
    assert_eq!(http.get(&format!("{}/a/%2e%2e/b", atoll.gateway)).await.status, 400);
    let secure = home.client().ask(&atoll, "shop.example", GET).await.unwrap();
    assert!(secure.starts_with("HTTP/1.1 200"), "{secure}");
    assert!(secure.contains("strict-transport-security: max-age=15552000\r\n"), "{secure}");
    // A problem of the gateway's own says so too.
    let refused = home.client().ask(&atoll, "shop.example", &GET.replace("GET", "TRACE")).await.unwrap();
    assert!(refused.contains("405") && refused.contains("strict-transport-security"), "{refused}");
    let metrics = String::from_utf8(http.get(&format!("{}/metrics", atoll.admin)).await.body.to_vec()).unwrap();
    let series = r#"atoll_gateway_requests_total{route="(none)",service="",status="308",kind="https-only"} 3"#;
    assert!(metrics.contains(series), "{metrics}");
}

#[tokio::test]
async fn a_trusted_proxy_that_ended_tls_is_served_and_another_port_can_be_named() {
    let home = TlsHome::with(
        "[gateway]\ntrusted_proxies = ['127.0.0.1']\n\
         [gateway.tls]\ncertificates = [{ cert = 'shop.pem', key = 'shop.key' }]\nredirect = 443\n\
         [service.hello]\ncomponent = '{component:fixture-hello}'\n[[route]]\nprefix = '/'\nservice = 'hello'\n",
    );
    let atoll = home.home.start().await;
    let http = Http::default();
    for (proto, status) in [(None, 308), (Some("https"), 200), (Some("https, http"), 308), (Some("http"), 308)] {
        let mut request = http::Request::get(format!("{}/a", atoll.gateway)).header("host", "shop.example");
        if let Some(proto) = proto {
            request = request.header("x-forwarded-proto", proto);
        }
        let answer = http.send(request, "").await;
        assert_eq!(answer.status.as_u16(), status, "{proto:?}");
        if status == 308 {
            assert_eq!(answer.header("location"), "https://shop.example/a");
        }
    }
}
