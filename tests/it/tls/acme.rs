//! Certificates that the host obtains by itself, from `pebble`. Without `pebble` in the path these tests pass, and say
//! so.

use super::super::atoll::{Atoll, Home, Http, eventually};
use super::pebble::{Pebble, Relay};
use super::{GET, metric};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A host whose certificate is of `pebble`.
fn home(pebble: &Pebble, more: &str) -> Home {
    let directory = &pebble.directory;
    let home = Home::new(&format!(
        "[gateway.tls]\n\
         acme = {{ names = ['shop.example', 'www.shop.example'], directory = '{directory}', ca = 'pebble.pem', \
         terms_agreed = true, contact = ['ops@shop.example']{more} }}\n\
         [service.hello]\ncomponent = '{{component:fixture-hello}}'\n\
         [[route]]\nprefix = '/'\nservice = 'hello'\n"
    ));
    pebble.write_ca(&home.folder.path().join("pebble.pem"));
    home
}

fn kept(home: &Home, name: &str) -> PathBuf {
    home.folder.path().join(".atoll/acme").join(name)
}

fn schedule(home: &Home) -> Option<Value> {
    serde_json::from_slice(&fs::read(kept(home, "schedule.json")).ok()?).ok()
}

/// Waits until the host serves a certificate of `pebble` for `name`.
async fn served(pebble: &Pebble, atoll: &Atoll, name: &str) {
    let client = pebble.client().await;
    let answer = eventually("a certificate", async || client.ask(atoll, name, GET).await.ok()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

async fn readyz(atoll: &Atoll) -> Value {
    serde_json::from_slice(&Http::default().get(&format!("{}/readyz", atoll.admin)).await.body).unwrap()
}

#[tokio::test]
async fn a_certificate_is_obtained_in_handshakes_kept_over_restarts_and_renewed() {
    let Some(pebble) = Pebble::start().await else { return };
    let home = home(&pebble, "");
    let atoll = home.start().await;
    // The authority finds the host once there is a way to it; until then the order waits for its proof.
    pebble.tls.lead_to(&atoll.secure);
    served(&pebble, &atoll, "shop.example").await;
    served(&pebble, &atoll, "www.shop.example").await;
    assert!(pebble.tls.count() >= 2, "both names were looked at");
    for name in ["account.json", "certificate.pem", "schedule.json"] {
        let mode = fs::metadata(kept(&home, name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(metric(&atoll, "tls_orders_total", ",outcome=\"issued\"").await, Some(1.0));
    assert!(metric(&atoll, "tls_certificate_seconds", "").await.unwrap() > 86_400.0);
    assert_eq!(readyz(&atoll).await["status"], "ready");
    // Once the names are proved, nobody is shown a proof, and no HTTP was ever spoken by that protocol.
    let prover = pebble.client().await.changed(|config| config.alpn_protocols = vec![b"acme-tls/1".to_vec()]);
    assert!(prover.connect(&atoll, "shop.example").await.is_err());
    let before = fs::read(kept(&home, "certificate.pem")).unwrap();
    let log = atoll.stop().await;
    let key = String::from_utf8_lossy(&before).lines().nth_back(2).unwrap().to_owned();
    assert!(!log.iter().any(|line| line.contains(&key)), "the log has a line of the key");

    // A host that starts again has its certificate, and orders none. Then its time has come.
    let orders = pebble.directory_relay.count();
    let atoll = home.start().await;
    pebble.tls.lead_to(&atoll.secure);
    served(&pebble, &atoll, "shop.example").await;
    assert_eq!(fs::read(kept(&home, "certificate.pem")).unwrap(), before);
    atoll.stop().await;
    let mut due = schedule(&home).unwrap();
    assert_eq!((&due["failures"], &due["renew_at"]), (&0.into(), &Value::Null), "this pebble knows no renewals");
    due["renew_at"] = 1.into();
    fs::write(kept(&home, "schedule.json"), due.to_string()).unwrap();
    let atoll = home.start().await;
    pebble.tls.lead_to(&atoll.secure);
    let renewed = async || (fs::read(kept(&home, "certificate.pem")).unwrap() != before).then_some(());
    eventually("a renewal", renewed).await;
    served(&pebble, &atoll, "shop.example").await;
    assert!(pebble.directory_relay.count() > orders);
    atoll.stop().await;
}

#[tokio::test]
async fn a_certificate_is_obtained_by_http_before_anything_is_sent_to_https() {
    let Some(pebble) = Pebble::start().await else { return };
    let home = home(&pebble, ", challenge = 'http-01'");
    let text = fs::read_to_string(home.manifest()).unwrap();
    fs::write(home.manifest(), text.replace("[gateway.tls]\n", "[gateway.tls]\nredirect = true\n")).unwrap();
    let atoll = home.start().await;
    pebble.http.lead_to(&atoll.gateway);
    served(&pebble, &atoll, "www.shop.example").await;
    assert_eq!(pebble.tls.count(), 0);
    // A proof that is none of the host's is a request as any other one.
    let stranger = format!("{}/.well-known/acme-challenge/none", atoll.gateway);
    assert_eq!(Http::default().get(&stranger).await.status.as_u16(), 308);
    atoll.stop().await;
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_costs_one_order_however_often_the_host_starts() {
    let Some(pebble) = Pebble::start().await else { return };
    pebble.tls.lead_nowhere();
    let home = home(&pebble, "");
    let atoll = home.start().await;
    let line = atoll.logged("a certificate could not be obtained").await;
    assert!(line.contains("shop.example") && line.contains("tls-alpn-01"), "{line}");
    // Plain HTTP is served, and a handshake fails for the reason that the metrics name.
    let answer = Http::default().get(&atoll.gateway).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(pebble.client().await.connect(&atoll, "shop.example").await.is_err());
    let reason = ",reason=\"no-certificate\"";
    eventually("the failed handshake", async || {
        metric(&atoll, "tls_handshake_failures_total", reason).await.filter(|count| *count >= 1.0)
    })
    .await;
    assert_eq!(metric(&atoll, "tls_orders_total", ",outcome=\"failed\"").await, Some(1.0));
    let ready = readyz(&atoll).await;
    let told = ready["certificates"].as_str().unwrap_or_default();
    assert!(ready["status"] == "degraded" && told.contains("gateway"), "{ready}");
    let kept = schedule(&home).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(kept["failures"], 1);
    assert!(kept["not_before"].as_u64().unwrap() <= now + 60, "a minute at most: {kept}");
    atoll.stop().await;

    // As if the minute were longer than any start: a new host asks nobody before it is over.
    let mut later = kept;
    later["not_before"] = (now + 3600).into();
    fs::write(self::kept(&home, "schedule.json"), later.to_string()).unwrap();
    let orders = pebble.directory_relay.count();
    let atoll = home.start().await;
    assert_eq!(Http::default().get(&atoll.gateway).await.status.as_u16(), 200);
    atoll.stop().await;
    assert_eq!(pebble.directory_relay.count(), orders);
}

#[tokio::test]
async fn an_authority_that_is_away_stops_nothing_and_check_asks_nobody() {
    let away = Relay::start().await;
    away.lead_nowhere();
    let home = Home::new(&format!(
        "[gateway.tls]\nacme = {{ names = ['shop.example'], directory = 'https://127.0.0.1:{}/dir', ca = 'ca.pem', \
         terms_agreed = true }}\n",
        away.port
    ));
    super::Authority::new("a").write(&home.folder.path().join("ca.pem"));
    let output = home.output(&["check", "atoll.toml"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!Path::new(&kept(&home, "")).exists() && away.count() == 0);
    let atoll = home.start().await;
    atoll.logged("a certificate could not be obtained").await;
    atoll.stop().await;

    fs::write(home.folder.path().join("ca.pem"), "junk").unwrap();
    let output = home.output(&["check", "atoll.toml"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("`ca` of `acme`") && said.contains("atoll.toml:2:"), "{said}");
}
