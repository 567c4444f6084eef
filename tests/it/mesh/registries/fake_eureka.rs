//! The wire of Eureka's `/eureka/apps/APP`, in JSON and, as for its own clients by default, in XML.

use super::fake_registry::{FakeAnswer, FakeBody, FakeQuestion, FakeWire};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Mutex;

/// One instance of the app `USERS`.
#[derive(Debug, Clone)]
pub struct EurekaInstance {
    pub at: SocketAddr,
    pub status: &'static str,
}

#[derive(Default)]
pub struct FakeEureka {
    pub instances: Mutex<Vec<EurekaInstance>>,
    /// Whether a list of one is written as its one element.
    pub unwraps: bool,
}

impl FakeEureka {
    pub fn new(places: &[SocketAddr]) -> Self {
        let fake = Self::default();
        fake.has(places.iter().map(|at| EurekaInstance { at: *at, status: "UP" }).collect());
        fake
    }

    pub fn has(&self, instances: Vec<EurekaInstance>) {
        *self.instances.lock().unwrap() = instances;
    }
}

impl EurekaInstance {
    fn json(&self) -> Value {
        let (ip, port) = (self.at.ip().to_string(), self.at.port());
        json!({
            "instanceId": format!("localhost:users:{port}"), "app": "USERS", "hostName": "localhost", "ipAddr": ip,
            "status": self.status, "overriddenStatus": "UNKNOWN",
            "port": { "$": port, "@enabled": "true" }, "securePort": { "$": 443, "@enabled": "false" },
            "countryId": 1,
            "dataCenterInfo": { "@class": "com.netflix.appinfo.MyDataCenterInfo", "name": "MyOwn" },
            "metadata": { "zone": "zone-a" },
            "leaseInfo": { "renewalIntervalInSecs": 30, "durationInSecs": 90 },
            "vipAddress": "users", "isCoordinatingDiscoveryServer": "false", "actionType": "ADDED",
        })
    }

    fn xml(&self) -> String {
        let (ip, port) = (self.at.ip(), self.at.port());
        format!(
            "<instance><instanceId>localhost:users:{port}</instanceId><hostName>localhost</hostName><app>USERS</app>\
             <ipAddr>{ip}</ipAddr><status>{}</status><overriddenstatus>UNKNOWN</overriddenstatus>\
             <port enabled=\"true\">{port}</port><securePort enabled=\"false\">443</securePort>\
             <countryId>1</countryId><dataCenterInfo class=\"com.netflix.appinfo.MyDataCenterInfo\">\
             <name>MyOwn</name></dataCenterInfo><leaseInfo><renewalIntervalInSecs>30</renewalIntervalInSecs>\
             <durationInSecs>90</durationInSecs></leaseInfo><metadata><zone>zone-a</zone></metadata>\
             <vipAddress>users</vipAddress><actionType>ADDED</actionType></instance>",
            self.status
        )
    }
}

impl FakeWire for FakeEureka {
    fn answer(&self, question: FakeQuestion) -> BoxFuture<'_, FakeAnswer> {
        Box::pin(async move {
            let instances = self.instances.lock().unwrap().clone();
            if !question.path.eq_ignore_ascii_case("/eureka/apps/USERS") || instances.is_empty() {
                return FakeAnswer::status(404, "");
            }
            if question.header("accept").contains("json") {
                let all: Vec<_> = instances.iter().map(EurekaInstance::json).collect();
                let instance = if self.unwraps && all.len() == 1 { all[0].clone() } else { all.into() };
                return FakeAnswer::json(&json!({ "application": { "name": "USERS", "instance": instance } }));
            }
            let all: String = instances.iter().map(EurekaInstance::xml).collect();
            let text = format!("<application><name>USERS</name>{all}</application>");
            let headers = vec![("content-type", "application/xml".to_owned())];
            FakeAnswer { status: 200, headers, body: FakeBody::Whole(text) }
        })
    }
}
