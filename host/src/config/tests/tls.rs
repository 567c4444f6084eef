//! `[gateway.tls]` and `[admin.tls]`.

use super::{cases, folder, lines, parse};
use crate::config::{Manifest, Redirect};
use crate::listen::{ClientAuth, TlsFile, TlsSettings};
use std::time::Duration;

#[test]
fn every_key_of_tls_is_read_and_paths_begin_at_the_folder() {
    let folder = folder();
    let text = include_str!("every_key.toml");
    let manifest = Manifest::parse("atoll.toml", text.into(), folder.path(), &|_| None).expect("a manifest");
    let gateway = manifest.gateway.tls.as_ref().expect("it is there");
    assert_eq!(gateway.address.to_string(), "[::1]:2");
    let settings = &gateway.tls.settings;
    let paths: Vec<_> = settings.certificates.iter().map(|files| (files.cert.clone(), files.key.clone())).collect();
    let own = |name: &str| folder.path().join(name);
    assert_eq!(paths, [(own("shop.pem"), own("shop.key")), ("/etc/eu.pem".into(), "/etc/eu.pem".into())]);
    assert_eq!((&settings.client_ca, settings.client_auth), (&Some(own("clients.pem")), ClientAuth::Optional));
    assert_eq!((settings.reload, settings.handshake_timeout), (Duration::from_secs(60), Duration::from_secs(5)));
    assert_eq!(
        (&settings.client_crl, &settings.obtained),
        (&Some(own("clients.crl")), &Some(own("acme/certificate.pem")))
    );
    let acme = gateway.tls.acme.as_ref().expect("it is there");
    assert_eq!(acme.names, ["shop.example", "www.shop.example"]);
    assert_eq!((acme.directory.as_str(), &acme.ca), ("https://acme.example/dir", &Some(own("acme.pem"))));
    assert_eq!((acme.contact.join(" ").as_str(), acme.challenge.name()), ("mailto:ops@shop.example tel:1", "http-01"));
    assert_eq!((acme.profile.as_deref(), &acme.folder), (Some("shortlived"), &own("acme")));
    let external = acme.external_account.as_ref().expect("it is there");
    assert_eq!((external.id.as_str(), &external.key[..]), ("kid-1", &b"01234567890123456789012345678901"[..]));
    assert!(!format!("{acme:?}").contains("key"), "it does not print");
    let hsts = Some(Duration::from_secs(180 * 86_400));
    assert_eq!((gateway.redirect, gateway.hsts), (Redirect::ToPort(443), hsts));
    let https = manifest.gateway.settings.https.as_ref().expect("both are wanted");
    assert_eq!((https.redirect, https.hsts), (Some(443), hsts));

    let admin = manifest.admin.tls.as_ref().expect("it is there");
    assert_eq!(admin.development, Some(own(".atoll/tls")));
    assert_eq!(admin.settings.certificates[0].cert, own(".atoll/tls/localhost.pem"));
    assert!(manifest.admin.settings.secure);
    let finding = |file| manifest.diagnose_tls(&gateway.tls, file, "wrong", "help").position().expect("it is written");
    let line = |file| finding(file).0;
    assert_eq!(line(TlsFile::Cert(0)), line(TlsFile::Key(1)));
    assert!(finding(TlsFile::Cert(0)).1 < finding(TlsFile::Key(0)).1);
    assert_eq!(line(TlsFile::ClientCa), line(TlsFile::Cert(0)) + 1);
    assert_eq!(line(TlsFile::ClientCrl), line(TlsFile::Cert(0)) + 2);
    assert_eq!(line(TlsFile::Cert(2)), line(TlsFile::Cert(0)) + 10, "the one that is obtained");
}

#[test]
fn without_the_sections_there_is_no_tls_and_the_defaults_are_those_of_the_room() {
    let manifest = parse("", &[("ATOLL_TLS_LISTEN", "0.0.0.0:443")]).expect("a manifest");
    assert!(manifest.gateway.tls.is_none() && manifest.admin.tls.is_none());
    assert!(manifest.gateway.settings.https.is_none() && !manifest.admin.settings.secure);
    let text = "[gateway.tls]\ncertificates = [{ cert = '/a', key = '/b' }]";
    let manifest = parse(text, &[("ATOLL_TLS_LISTEN", "0.0.0.0:443")]).expect("a manifest");
    let tls = manifest.gateway.tls.expect("it is there");
    assert_eq!((tls.address.to_string().as_str(), tls.redirect, tls.hsts), ("0.0.0.0:443", Redirect::No, None));
    let certificates = tls.tls.settings.certificates.clone();
    assert_eq!(tls.tls.settings, TlsSettings { certificates, ..TlsSettings::default() });
}

#[test]
fn wrong_keys_of_tls_are_findings() {
    cases! {
        "[gateway.tls]" => "1:1", "TLS needs a certificate", "self_signed = true";
        "[admin.tls]\ncertificates = []" => "1:1", "TLS needs a certificate", "certificates = [";
        "[gateway.tls]\ncertificates = ['a.pem']" =>
            "2:17", "must be { cert, key } with two paths, not \"a.pem\"", "cert = \"shop.pem\"";
        "[gateway.tls]\ncertificates = [{ cert = 'a' }]" => "2:17", "has a certificate without `key`", "key =";
        "[gateway.tls]\ncertificates = [{ cert = 'a', key = 1 }]" =>
            "2:37", "entry `key`, which must be a path", "quotes";
        "[gateway.tls]\ncertificates = [{ cert = 'a', key = 'b', kee = 'c' }]" =>
            "2:42", "has an unknown key `kee`", "`key`";
        "[gateway.tls]\nself_signed = true\nclient_auth = 'optional'" =>
            "3:15", "no effect without `client_ca`", "leave it out";
        "[admin.tls]\nself_signed = true\nacme = {}" => "3:1", "unknown key `acme`", "`reload`";
        "[gateway.tls]\nself_signed = true\nclient_crl = 'a'" =>
            "3:14", "no effect without `client_ca`", "leave it out";
        "[gateway.tls]\nself_signed = true\nacme = { names = ['a.example'], terms_agreed = true }" =>
            "1:1", "`self_signed` and `acme` exclude each other", "development";
        "[gateway.tls]\nacme = { names = ['a.example'] }" => "2:8", "without an agreement", "terms_agreed = true";
        "[gateway.tls]\nacme = { names = ['a.example'], terms_agreed = false }" =>
            "2:48", "without an agreement", "terms_agreed = true";
        "[gateway.tls]\nacme = { terms_agreed = true }" => "2:8", "names no host", "names = [";
        "[gateway.tls]\nacme = { names = ['*.a.example'], terms_agreed = true }" =>
            "2:19", "a host name", "wildcard";
        "[gateway.tls]\nacme = { names = ['a.example', 'A.example'], terms_agreed = true }" =>
            "2:32", "`a.example` is there twice", "once";
        "[gateway.tls]\nacme = { names = ['a.example'], terms_agreed = true, directory = 'http://acme.example' }" =>
            "2:66", "must be an https:// address", "https://";
        "[gateway.tls]\nacme = { names = ['a.example'], terms_agreed = true, external_account = { id = 'a' } }" =>
            "2:73", "`external_account` has no `key`", "from_env";
        "[gateway.tls]\nself_signed = true\ncertificates = [{ cert = 'a', key = 'b' }]" =>
            "1:1", "exclude each other", "development";
        "[gateway.tls]\nself_signed = true\nredirect = 0" => "3:12", "must be true or false, or a port, not 0", "443";
        "[gateway.tls]\nself_signed = true\nhsts = '731d'" => "3:8", "a duration of 0 to 730d", "in quotes";
        "[gateway.tls]\nself_signed = true\nredirekt = true" =>
            "3:1", "unknown key `redirekt` in `tls` of [gateway]", "`redirect`";
        "[admin.tls]\nself_signed = true\nhsts = '1h'" => "3:1", "unknown key `hsts` in `tls` of [admin]", "known here";
        "[gateway.tls]\nself_signed = true\nlisten = '127.0.0.1:8080'" =>
            "3:10", "gateway (127.0.0.1:8080) and gateway by TLS (127.0.0.1:8080) cannot listen", "another port";
        "[gateway.tls]\nself_signed = true\nlisten = '0.0.0.0:9090'" =>
            "3:10", "admin (127.0.0.1:9090) and gateway by TLS (0.0.0.0:9090) cannot listen", "another port";
    }
    let errors = parse("[gateway.tls]\nself_signed = true", &[("ATOLL_TLS_LISTEN", "nowhere")]).expect_err("wrong");
    assert!(lines(&errors)[0].starts_with("- ATOLL_TLS_LISTEN: must be an IP address"), "{:?}", lines(&errors));
}
