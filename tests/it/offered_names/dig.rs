//! The answers as `dig` reads them, which `just discovery` installs. Without it these tests say so and pass.

use super::super::atoll::{Home, ended};
use super::{MANIFEST, port, start};
use std::net::SocketAddr;
use tokio::process::Command;

/// A `dig` that asks one server.
struct Dig(SocketAddr);

/// What it has printed, with single blanks.
struct DigOutput(String);

impl Dig {
    /// `None`: this machine has none.
    async fn at(server: SocketAddr) -> Option<Self> {
        let found = Command::new("dig").arg("-v").output().await.is_ok();
        if !found {
            eprintln!("skipped: there is no dig, which `just discovery` installs");
        }
        found.then_some(Self(server))
    }

    async fn ask(&self, arguments: &[&str]) -> DigOutput {
        let (server, port) = (format!("@{}", self.0.ip()), self.0.port().to_string());
        let mut command = Command::new("dig");
        command.args(["-r", &server, "-p", &port, "+tries=1", "+time=20", "+norecurse"]).args(arguments);
        let output = ended(&mut command).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        DigOutput(text.lines().map(squeezed).collect::<Vec<_>>().join("\n"))
    }
}

impl DigOutput {
    #[track_caller]
    fn has(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.0.contains(part), "`{part}` is not in\n{}", self.0);
        }
        for complaint in ["Warning", "malformed", "extra bytes", "Got bad packet"] {
            assert!(!self.0.contains(complaint), "{}", self.0);
        }
    }
}

#[tokio::test]
async fn dig_reads_each_kind_of_answer() {
    let home = Home::new(MANIFEST);
    let (host, names) = start(&home).await;
    let Some(dig) = Dig::at(names).await else { return };
    let gateway = port(&host);
    let srv = format!("_http._tcp.hello.atoll.test. 3 IN SRV 0 2 {gateway} hello.atoll.test.");
    let answer = &["status: NOERROR", "flags: qr aa;", "udp: 1232"];
    let soa = "atoll.test. 3 IN SOA atoll.test. hostmaster.atoll.test. 1 3600 600 86400 3";

    dig.ask(&["hello.atoll.test", "A"]).await.has(&[&answer[..], &["hello.atoll.test. 3 IN A 127.0.0.1"]].concat());
    let asked = ["_http._tcp.hello.atoll.test", "SRV"];
    let along = "ADDITIONAL SECTION:\nhello.atoll.test. 3 IN A 127.0.0.1";
    for way in [&["+notcp"][..], &["+tcp"], &["+noedns"], &["+dnssec"], &["+nocookie", "+padding=128"]] {
        dig.ask(&[way, &asked].concat()).await.has(&["status: NOERROR", "flags: qr aa;", &srv, along]);
    }
    dig.ask(&["HeLLo.ATOLL.test", "A"]).await.has(&["HeLLo.ATOLL.test. 3 IN A 127.0.0.1"]);
    dig.ask(&["hello.atoll.test", "AAAA"]).await.has(&[&answer[..], &["ANSWER: 0", soa]].concat());
    dig.ask(&["hello.atoll.test", "TYPE65280"]).await.has(&[&answer[..], &["ANSWER: 0", soa]].concat());
    dig.ask(&["hello.atoll.test", "ANY"]).await.has(&["status: NOERROR", "HINFO \"RFC8482\" \"\""]);
    dig.ask(&["nobody.atoll.test", "A"]).await.has(&["status: NXDOMAIN", "flags: qr aa;", "ANSWER: 0", soa]);
    dig.ask(&["atoll.test", "SOA"]).await.has(&[&answer[..], &["ANSWER: 1", soa]].concat());
    dig.ask(&["atoll.test", "NS"]).await.has(&[&answer[..], &["atoll.test. 3 IN NS atoll.test."]].concat());
    dig.ask(&["example.org", "A"]).await.has(&["status: REFUSED", "flags: qr;", "ANSWER: 0", "AUTHORITY: 0"]);
    dig.ask(&["version.bind", "TXT", "CH"]).await.has(&["status: REFUSED"]);
    dig.ask(&["atoll.test", "AXFR"]).await.has(&["Transfer failed."]);
    dig.ask(&["+opcode=NOTIFY", "atoll.test", "SOA"]).await.has(&["status: NOTIMP", "opcode: NOTIFY"]);
    dig.ask(&["+edns=1", "+noednsnegotiation", "hello.atoll.test", "A"]).await.has(&["status: BADVERS"]);
    dig.ask(&["+header-only"]).await.has(&["status: FORMERR"]);
    host.stop().await;
}
