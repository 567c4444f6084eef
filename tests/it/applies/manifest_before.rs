//! Between the exchange of the services and that of the gateway's routes, requests still come by the routes before.

use super::super::in_process_mesh::{InProcessMesh, plan};
use host::base::ErrorKind;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_the_manifest_before_gets_what_that_manifest_had() {
    let mesh = InProcessMesh::new(vec![(plan("hello"), "fixture-hello")]);
    assert_eq!(mesh.get("hello", "/").await.unwrap().0, 200);

    // The same name, with functions alone: no endpoint of it takes a call by HTTP.
    mesh.exchange(plan("hello"), "fixture-notes-1").await;
    assert_eq!(mesh.get("hello", "/").await.unwrap().0, 200, "a route of the manifest before leads there");

    mesh.withdraw();
    assert_eq!(mesh.failure("hello", "/").await, ErrorKind::NoEndpoint, "no request of that manifest is left");
}
