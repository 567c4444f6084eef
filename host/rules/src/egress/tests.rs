//! The tests of rules and of the allow-list. The tests of the ranges are in `range_tests.rs`.

use super::*;
use proptest::prelude::*;
use std::net::IpAddr;

fn rule(text: &str) -> EgressRule {
    EgressRule::parse(text, false).expect(text)
}

fn private(text: &str) -> EgressRule {
    EgressRule::parse(text, true).expect(text)
}

fn allow(rules: &[&str]) -> Allow {
    Allow::new(rules.iter().map(|text| rule(text)).collect())
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

#[test]
fn a_rule_is_parsed_in_any_form_and_written_in_one() {
    for (text, canonical) in [
        ("https://api.example.com", "https://api.example.com"),
        ("HTTPS://API.Example.COM:443", "https://api.example.com"),
        ("https://api.example.com.", "https://api.example.com"),
        ("https://api.example.com.:8443", "https://api.example.com:8443"),
        ("http://api.example.com:443", "http://api.example.com:443"),
        ("http://*.example.com:80", "http://*.example.com"),
        ("https://*.Example.com.:8443", "https://*.example.com:8443"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://localhost:65535", "http://localhost:65535"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://a_b.example", "https://a_b.example"),
        ("https://1.example", "https://1.example"),
        ("https://0x.example", "https://0x.example"),
        ("http://10.0.0.7:8080", "http://10.0.0.7:8080"),
        ("http://10.0.0.7.", "http://10.0.0.7"),
        ("http://[::1]", "http://[::1]"),
        ("http://[2001:DB8:0:0:0:0:0:1]:8080", "http://[2001:db8::1]:8080"),
        ("http://[::ffff:10.0.0.7]", "http://[::ffff:10.0.0.7]"),
    ] {
        assert_eq!(rule(text).to_string(), canonical, "{text}");
        assert_eq!(rule(canonical), rule(text));
        assert!(!rule(text).is_private() && private(text).is_private());
    }
}

#[test]
fn a_text_that_is_no_rule_is_refused_with_help() {
    for (text, help) in [
        ("*", "`https://*` is every public host"),
        ("", "write the scheme too"),
        ("api.example.com", "write the scheme too"),
        ("api.example.com:443", "write the scheme too"),
        ("//api.example.com", "write the scheme too"),
        ("https:/api.example.com", "write the scheme too"),
        ("ftp://api.example.com", "must be `https` or `http`"),
        ("*://api.example.com", "must be `https` or `http`"),
        (" https://api.example.com", "must be `https` or `http`"),
        ("https://api.example.com/", "write `https://api.example.com`"),
        ("HTTP://a.b:8080/v1/users?x#y", "write `http://a.b:8080`"),
        ("https://a.b?x", "write `https://a.b`"),
        ("https://a.b#x", "write `https://a.b`"),
        ("https://a.b\\x", "write `https://a.b`"),
        ("https://", "write labels"),
        ("https://.", "write labels"),
        ("https://.a", "write labels"),
        ("https://a..b", "write labels"),
        ("https://a.b..", "write labels"),
        ("https://a b", "write labels"),
        ("https://a%2eb", "write labels"),
        ("https://a.b\n", "write labels"),
        ("https://bücher.example", "`xn--`"),
        ("https://*.bücher.example", "`xn--`"),
        ("https://a*.example.com", "only for the first labels"),
        ("https://a.*.com", "only for the first labels"),
        ("https://*.*.com", "only for the first labels"),
        ("https://**.com", "only for the first labels"),
        ("https://*com", "only for the first labels"),
        ("https://*.", "write labels"),
        ("https://*.10.0.0.1", "addresses have no `*`"),
        ("https://*.1", "four decimal numbers"),
        ("https://*.[::1]", "write an IPv6 address"),
        ("http://127.1", "four decimal numbers"),
        ("http://127.0.0.01", "four decimal numbers"),
        ("http://0177.0.0.1", "four decimal numbers"),
        ("http://0x7f.0.0.1", "four decimal numbers"),
        ("http://0x7f000001", "four decimal numbers"),
        ("http://0X7F000001", "four decimal numbers"),
        ("http://127.0.0.0x1", "four decimal numbers"),
        ("http://127.0.0.0x", "four decimal numbers"),
        ("http://2130706433", "four decimal numbers"),
        ("http://1.2.3.4.5", "four decimal numbers"),
        ("http://1.2.3.256", "four decimal numbers"),
        ("http://example.1", "four decimal numbers"),
        ("http://::1", "in brackets"),
        ("http://2001:db8::1:80", "in brackets"),
        ("http://[::1", "close the bracket"),
        ("http://[::1]80", "only a port"),
        ("http://[::1].example", "only a port"),
        ("http://[fe80::1%25eth0]", "without a zone"),
        ("http://[127.0.0.1]", "write an IPv6 address"),
        ("http://[]", "write an IPv6 address"),
        ("http://a.b:", "from 1 to 65535"),
        ("http://a.b:0", "from 1 to 65535"),
        ("http://a.b:65536", "from 1 to 65535"),
        ("http://a.b:+80", "from 1 to 65535"),
        ("http://a.b: 80", "from 1 to 65535"),
        ("http://a.b:*", "from 1 to 65535"),
        ("http://[::1]:", "from 1 to 65535"),
    ] {
        let error = EgressRule::parse(text, false).expect_err(text);
        assert_eq!(error.to_string(), format!("`{text}` is no outside host"));
        assert!(error.help().contains(help), "{}", error.help());
    }
}

#[test]
fn a_rule_for_every_host_permits_all_hosts_of_its_scheme_and_port_and_public_addresses_alone() {
    for (text, canonical) in
        [("https://*", "https://*"), ("HTTP://*:80", "http://*"), ("http://*:8080", "http://*:8080")]
    {
        assert_eq!(rule(text).to_string(), canonical);
    }
    let every = allow(&["https://*", "https://*.b.example", "https://a.b.example"]);
    for (host, expected) in [
        ("a.b.example", "https://a.b.example"),
        ("c.b.example", "https://*.b.example"),
        ("any.example", "https://*"),
        ("localhost", "https://*"),
        ("192.0.32.8", "https://*"),
        ("[2606:4700::1111]", "https://*"),
    ] {
        assert_eq!(every.permits("https", host, 443).map(ToString::to_string).as_deref(), Some(expected), "{host}");
    }
    assert_eq!(every.permits("http", "any.example", 80), None);
    assert_eq!(every.permits("https", "any.example", 8443), None);
    assert_eq!(every.permits("https", "0x7f.1", 443), None, "a spelling that resolvers take for an address");
    for address in ["127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", "::ffff:10.0.0.7", "fd00:ec2::254"] {
        assert!(rule("https://*").admits(ip(address)).is_err(), "{address}");
    }
    assert!(rule("https://*").admits(ip("192.0.32.8")).is_ok());
    let error = EgressRule::parse("https://*", true).expect_err("it would open the network behind the host");
    assert!(error.help().contains("public hosts alone"), "{}", error.help());
}

#[test]
fn a_refused_rule_never_repeats_a_password() {
    for (text, redacted) in [
        ("https://user:secret@a.b/x", "…@a.b/x"),
        ("https://@a.b", "…@a.b"),
        ("https://secret@x@a.b", "…@a.b"),
        ("https://u:sec/ret@a.b", "…@a.b"),
    ] {
        let error = EgressRule::parse(text, false).expect_err(text);
        let help = "leave out the `@` and the text before it: a rule has no user, no password and no path";
        assert_eq!(error.to_string(), format!("`{redacted}` is no outside host"), "a password is not repeated");
        assert_eq!(error.help(), help);
    }
}

#[test]
fn the_lengths_of_labels_and_names_are_those_of_dns() {
    for length in [63, 64] {
        assert_eq!(EgressRule::parse(&format!("https://{}.com", "a".repeat(length)), false).is_ok(), length == 63);
    }
    for length in [253, 254] {
        let host = format!("{}{}", "a.".repeat(124), "b".repeat(length - 248));
        assert_eq!(EgressRule::parse(&format!("https://{host}"), false).is_ok(), length == 253);
    }
}

#[test]
fn only_hosts_that_a_rule_names_are_permitted() {
    assert_eq!(Allow::default().permits("https", "api.example.com", 443), None);
    let allow =
        allow(&["https://api.example.com", "https://*.example.org:8443", "http://10.0.0.7:8080", "http://[::1]"]);
    for (scheme, host, port, yes) in [
        ("https", "api.example.com", 443, true),
        ("HTTPS", "API.EXAMPLE.COM.", 443, true),
        ("http", "api.example.com", 443, false),
        ("https", "api.example.com", 8443, false),
        ("https", "x.api.example.com", 443, false),
        ("https", "xapi.example.com", 443, false),
        ("https", "api.example.com..", 443, false),
        ("https", "api.example.com%00", 443, false),
        ("https", "a.example.org", 8443, true),
        ("https", "A.B.Example.Org.", 8443, true),
        ("https", "example.org", 8443, false),
        ("https", ".example.org", 8443, false),
        ("https", "aexample.org", 8443, false),
        ("https", "*.example.org", 8443, false),
        ("https", "a.example.org", 443, false),
        ("http", "10.0.0.7", 8080, true),
        ("http", "10.0.0.8", 8080, false),
        ("http", "10.0.7", 8080, false),
        ("http", "012.0.0.7", 8080, false),
        ("http", "0xa000007", 8080, false),
        ("http", "167772167", 8080, false),
        ("http", "[::ffff:10.0.0.7]", 8080, false),
        ("http", "[::1]", 80, true),
        ("http", "::1", 80, true),
        ("http", "[0:0::0:1]", 80, true),
        ("http", "[::2]", 80, false),
        ("http", "localhost", 80, false),
        ("http", "", 80, false),
        ("ftp", "[::1]", 80, false),
        ("", "[::1]", 80, false),
    ] {
        assert_eq!(allow.permits(scheme, host, port).is_some(), yes, "{scheme}://{host}:{port}");
    }
}

#[test]
fn of_several_matching_rules_the_narrowest_permits() {
    let texts = ["https://*.com", "https://*.b.com", "https://a.b.com", "https://*.com"];
    let mut rules: Vec<EgressRule> = texts.iter().map(|text| rule(text)).collect();
    rules.push(private("https://*.b.com"));
    rules.push(private("https://*.com"));
    let allow = Allow::new(rules.clone());
    let permitted = |host| allow.permits("https", host, 443).expect("permitted");
    assert_eq!(permitted("a.b.com"), &rules[2], "a host comes before every wildcard, whatever the wildcard admits");
    assert_eq!(permitted("c.b.com"), &rules[4], "the longer wildcard, and of two equal ones the private rule");
    assert_eq!(permitted("b.com"), &rules[5]);
    assert_eq!(allow.rules(), rules);
}

#[test]
fn the_line_of_the_manifest_that_would_permit_a_request_is_shown() {
    for (scheme, host, port, line) in [
        ("https", "api.example.com", 443, "egress = [\"https://api.example.com\"]"),
        ("HTTP", "API.Example.com.", 8080, "egress = [\"http://api.example.com:8080\"]"),
        ("http", "10.0.0.7", 80, "egress = [\"http://10.0.0.7\"]"),
        ("https", "2001:db8::1", 80, "egress = [\"https://[2001:db8::1]:80\"]"),
        ("ftp", "a.b", 21, "# no line permits \"ftp://a.b:21\": its scheme must be `https` or `http`"),
        ("http", "a.b", 0, "# no line permits \"http://a.b:0\": there is no port 0"),
        (
            "http",
            "a\"]\n[x",
            80,
            "# no line permits \"http://a\\\"]\\n[x:80\": write labels of letters, digits and `-` with dots between \
             them, 63 characters each at most",
        ),
    ] {
        assert_eq!(Allow::line_for(scheme, host, port), line);
    }
    assert!(
        Allow::line_for("http", "*.example.com", 80).starts_with("# no line"),
        "no wildcard is suggested to a guest"
    );
    assert!(Allow::line_for("http", &"a".repeat(10_000), 80).len() < 300);
    assert_eq!(
        rule("https://db.internal:5432").private_line("db.internal"),
        "egress = [{ to = \"https://db.internal:5432\", private = true }]"
    );
    assert_eq!(
        rule("https://*").private_line("db.internal"),
        "egress = [{ to = \"https://db.internal\", private = true }]"
    );
}

#[test]
fn a_rule_admits_public_addresses_and_the_address_that_it_names() {
    let (named, open) = (rule("https://api.example.com"), private("https://api.example.com"));
    assert_eq!((named.admits(ip("93.184.216.34")), open.admits(ip("93.184.216.34"))), (Ok(()), Ok(())));
    for (address, range) in
        [("127.0.0.1", Range::Loopback), ("10.1.2.3", Range::Private), ("fe80::1", Range::LinkLocal)]
    {
        assert_eq!((named.admits(ip(address)), open.admits(ip(address))), (Err(range), Ok(())), "{address}");
    }
    for metadata in
        ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "2002:a9fe:aa02::1"]
    {
        assert_eq!(named.admits(ip(metadata)), Err(Range::Metadata));
        assert_eq!(open.admits(ip(metadata)), Err(Range::Metadata), "`private` is not enough");
    }
    for literal in ["169.254.169.254", "127.0.0.1", "[fd00:ec2::254]", "[::1]"] {
        let literal_rule = rule(&format!("http://{literal}"));
        assert_eq!(literal_rule.admits(ip(literal.trim_matches(['[', ']']))), Ok(()), "{literal}");
        assert_eq!(literal_rule.admits(ip("10.0.0.1")), Err(Range::Private), "no other address");
    }
    assert_eq!(
        rule("http://127.0.0.1").admits(ip("::ffff:127.0.0.1")),
        Err(Range::Loopback),
        "not the same address inside an IPv6 address"
    );
}

/// Names of few different labels, so that they often match.
fn name() -> impl Strategy<Value = String> {
    let label = prop_oneof![Just("a"), Just("B"), Just("b"), Just("ab"), Just("xn--a")];
    prop::collection::vec(label, 1..5).prop_map(|labels| labels.join("."))
}

fn pattern() -> impl Strategy<Value = String> {
    (any::<bool>(), name()).prop_map(|(wild, name)| if wild { format!("*.{name}") } else { name })
}

/// Scheme, host and port of a rule or of a request.
fn origin(host: impl Strategy<Value = String>) -> impl Strategy<Value = (&'static str, String, u16)> {
    let host = prop_oneof![9 => host, 1 => Just("10.0.0.1".to_owned()), 1 => Just("[::1]".to_owned())];
    (prop_oneof![Just("http"), Just("https")], host, prop_oneof![Just(80_u16), Just(443), Just(8080)])
}

/// The rule by its definition, label by label from the right.
fn matches_by_labels(pattern: &str, host: &str) -> bool {
    let labels = |text: &str| text.to_lowercase().split('.').rev().map(str::to_owned).collect::<Vec<_>>();
    let (pattern, host) = (labels(pattern), labels(host));
    match pattern.split_last() {
        Some((last, base)) if last == "*" => host.len() > base.len() && host.starts_with(base),
        _ => host == pattern,
    }
}

proptest! {
    /// Property: for any rules and any request, the allow-list gives the rule that the definition gives, and the line
    /// that it shows would permit the request.
    #[test]
    fn the_list_permits_what_the_model_permits(
        rules in prop::collection::vec((origin(pattern()), any::<bool>()), 0..8),
        (scheme, host, port) in origin(name()),
        dot in any::<bool>(),
    ) {
        let written = |(scheme, host, port): &(&str, String, u16)| format!("{scheme}://{host}:{port}");
        let parse = |(origin, private): &((&str, String, u16), bool)| {
            EgressRule::parse(&written(origin), *private).expect("a rule")
        };
        let parsed = rules.iter().map(parse).collect();
        let allow = Allow::new(parsed);
        let request = if dot && host.contains(char::is_alphabetic) { format!("{host}.") } else { host.clone() };
        let permitted = allow.permits(scheme, &request, port);
        // The definition: of the rules that match, the one with the most labels wins, where a `*` is less than a
        // label; then a `private` one; then the first one.
        let matching = rules.iter().zip(allow.rules()).filter(|(((a_scheme, a_host, a_port), _), _)| {
            *a_scheme == scheme && *a_port == port && matches_by_labels(a_host, &host)
        });
        let labels = |host: &str| (!host.starts_with('*'), host.split('.').count());
        let winner = matching.rev().max_by_key(|(((_, a_host, _), private), _)| (labels(a_host), *private));
        let wanted = winner.map(|(_, rule)| rule);
        prop_assert_eq!(permitted.map(std::ptr::from_ref), wanted.map(std::ptr::from_ref));
        // The line that is shown permits this request.
        let line = Allow::line_for(scheme, &request, port);
        let text = line.strip_prefix("egress = [\"").and_then(|line| line.strip_suffix("\"]")).expect("a line");
        let shown = Allow::new(vec![EgressRule::parse(text, false).expect("a rule")]);
        prop_assert!(shown.permits(scheme, &request, port).is_some());
        prop_assert_eq!(shown.rules()[0].to_string(), text);
    }

    /// Property: any text is either refused, or a rule that is parsed from its own text. No text makes the room panic.
    #[test]
    fn any_text_is_a_rule_or_is_refused(
        text in "(https?://)?(\\*\\.)?[a-b0-9x.:*@/\\[\\]é -]{0,12}(:[0-9]{0,6})?",
        host in "\\PC{0,12}",
    ) {
        if let Ok(rule) = EgressRule::parse(&text, true) {
            prop_assert_eq!(EgressRule::parse(&rule.to_string(), true), Ok(rule));
        }
        let line = Allow::line_for("http", &host, 80);
        prop_assert!(!line.contains(char::is_control), "{:?}", line);
        let allow = allow(&["http://*.a", "http://a"]);
        let names = |host: &str| host.to_lowercase().trim_end_matches('.').rsplit('.').next() == Some("a");
        prop_assert!(allow.permits("http", &host, 80).is_none() || names(&host));
    }
}
