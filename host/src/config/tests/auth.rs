//! Policies of callers, and routes that name them: what is read, and what is refused.

use super::{lines, parse};
use crate::config::{AuthConfig, AuthProof, RenderStyle, TokenKeyPlace};
use crate::identity::{Demand, TokenAlgorithm};
use std::time::Duration;

const JWT: &str = r#"
[auth.staff]
kind = "jwt"
issuer = "https://id.example"
audience = ["shop", "stock"]
algorithms = ["ES256", "Ed25519"]
jwks = "https://id.example/keys"
[service.users]
urls = ["http://127.0.0.1:5001"]
"#;

fn header(policy: &AuthConfig) -> &str {
    policy.header.as_ref().map_or("", |header| header.as_str())
}

#[test]
fn a_policy_with_an_empty_list_is_refused_and_opens_no_route() {
    let jwt = "kind = 'jwt'\nissuer = 'i'\njwks = 'https://a/k'\n";
    for lists in ["audience = ['a']\nalgorithms = []", "audience = []\nalgorithms = ['ES256']"] {
        let text = format!("[gateway]\ndefault_auth = 'p'\n[auth.p]\n{jwt}{lists}");
        let errors = parse(&text, &[]).expect_err(lists).to_string();
        assert!(errors.contains("`p` can let nobody in: a list that it needs is empty"), "{errors}");
    }
    let errors = parse("[auth.p]\nkind = 'certificate'\nsubjects = []", &[]).expect_err("nobody").to_string();
    assert!(errors.contains("a list that it needs is empty"), "{errors}");
}

#[test]
fn policies_are_read_with_their_defaults() {
    let keys = "[auth.partner]\nkind = \"api-key\"\n";
    let manifest = parse(&format!("{keys}{JWT}"), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let [partner, staff] = &manifest.auth[..] else { panic!("two policies") };
    assert_eq!((partner.name.as_str(), header(partner), partner.forward), ("partner", "x-api-key", false));
    assert!(matches!(partner.proof, AuthProof::ApiKey) && manifest.gateway.keys.ends_with(".atoll/keys.json"));
    assert_eq!((staff.name.as_str(), header(staff)), ("staff", "authorization"));
    let AuthProof::Token { policy, keys: TokenKeyPlace::Address(address, refresh), remembered } = &staff.proof else {
        panic!("{staff:?}")
    };
    assert_eq!((policy.leeway, policy.typ.as_deref(), *remembered), (60, None, 10_000));
    assert_eq!(policy.algorithms, [TokenAlgorithm::Es256, TokenAlgorithm::Ed25519]);
    assert_eq!((address.uri.to_string().as_str(), *refresh), ("https://id.example/keys", Duration::from_secs(600)));
}

#[test]
fn a_route_has_its_own_policies_or_the_default_ones() {
    let text = format!(
        "[gateway]\ndefault_auth = \"staff\"\n{JWT}\n\
         [auth.partner]\nkind = \"api-key\"\n\
         [[route]]\nprefix = \"/\"\nservice = \"users\"\nscopes = [\"a\"]\n\
         [[route]]\nprefix = \"/open\"\nservice = \"users\"\nauth = \"none\"\n\
         [[route]]\nprefix = \"/both\"\nservice = \"users\"\nauth = [\"staff\", \"partner\"]\nclaims = {{ a = 1 }}\n"
    );
    let manifest = parse(&text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let [usual, open, both] = &manifest.routes[..] else { panic!("three routes") };
    let usual = usual.auth.as_ref().expect("a closed route");
    assert_eq!((&usual.policies[..], &usual.demand.scopes[..]), (&[1][..], &["a".to_owned()][..]));
    assert_eq!(open.auth, None);
    let both = both.auth.as_ref().expect("a closed route");
    assert_eq!((&both.policies[..], both.demand.claims.len()), (&[1, 0][..], 1));
    let manifest = parse(JWT, &[]).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(manifest.routes.is_empty() && Demand::default().scopes.is_empty());
}

#[test]
fn what_is_missing_or_does_not_fit_is_refused_with_the_mend() {
    const INTROSPECTION: &str = "[auth.a]\nkind = \"introspection\"\nendpoint = \"https://i/\"\n";
    let jwt = |from: &'static str, to: &'static str| JWT.replace(from, to);
    let route = |keys: &str| format!("{JWT}[[route]]\nprefix = \"/\"\nservice = \"users\"\n{keys}\n");
    let jwks = "jwks = \"https://id.example/keys\"";
    let cases = [
        ("[auth.a]\n".to_owned(), "the policy `a` has no `kind`", "api-key"),
        ("[auth.none]\nkind = \"api-key\"\n".into(), "`none` is no name of a policy", "`none` is taken"),
        ("[auth.A]\nkind = \"api-key\"\n".into(), "`A` is no name of a policy", "a-z"),
        ("[auth.a]\nkind = \"jwt2\"\n".into(), "`kind` must be", "did you mean `jwt`?"),
        ("[auth.a]\nkind = \"api-key\"\nissuer = \"x\"\n".into(), "`issuer` is not for a policy of this kind", "kind"),
        ("[auth.a]\nkind = \"api-key\"\nheadr = \"x\"\n".into(), "unknown key `headr`", "`header`"),
        (jwt("issuer = \"https://id.example\"\n", ""), "needs `issuer`", "issuer = …"),
        (jwt("audience = [\"shop\", \"stock\"]\n", ""), "needs `audience`", "audience = …"),
        (jwt("algorithms = [\"ES256\", \"Ed25519\"]\n", ""), "needs `algorithms`", "algorithms = …"),
        (jwt("\"ES256\"", "\"none\""), "`algorithms` must be", "RS256"),
        (jwt("\"ES256\"", "\"HS256\""), "HS256, HS384 and HS512 go with `secret`", "one kind of key"),
        (jwt(jwks, ""), "needs `jwks` or `secret`", "from_env"),
        (jwt("https://id.example/keys", "http://id.example/keys"), "`jwks` must be an https:// address", "127"),
        (jwt("https://id.example/keys", "keys.json"), "cannot find the key set `keys.json`", "https://"),
        (jwt(jwks, "secret = \"hush\""), "`secret` must not stand in the manifest", "from_env"),
        (jwt(jwks, "secret = { from_env = \"X\" }"), "`secret` cannot be read: X is not set", "set it"),
        ("[auth.a]\nkind = \"certificate\"\n".into(), "needs `subjects`", "subjects = …"),
        (
            "[auth.a]\nkind = \"certificate\"\nheader = \"x\"\nsubjects = [\"dns:a\"]\n".into(),
            "`header` is not for",
            "kind",
        ),
        (
            "[auth.a]\nkind = \"certificate\"\nsubjects = [\"a\"]\n".into(),
            "`subjects` must be a name with its kind",
            "dns:",
        ),
        (
            "[auth.a]\nkind = \"api-key\"\nscopes = [\"a\"]\n".into(),
            "`scopes` is not for a policy of this kind",
            "kind",
        ),
        (INTROSPECTION.into(), "needs `client_id`", "client_id = …"),
        (format!("{INTROSPECTION}client_id = \"a\"\n"), "needs `client_secret`", "client_secret = …"),
        (route("auth = \"staf\""), "there is no policy `staf`", "did you mean `staff`?"),
        (route("auth = []"), "`auth` must be", "lets everybody in"),
        (route("auth = [\"staff\", \"staff\"]"), "`staff` is there twice", "once"),
        (route("scopes = [\"a\"]"), "`scopes` is of no use without a policy", "add auth"),
        (route("auth = \"none\"\nclaims = { a = 1 }"), "`claims` is of no use without a policy", "add auth"),
        (route("auth = \"staff\"\nscopes = [\"a b\"]"), "`scopes` must be a scope", "orders:read"),
        (route("auth = \"staff\"\nclaims = { a = 1.5 }"), "`claims` has an entry `a`, which must be", "value"),
        (
            JWT.replace("urls = [\"http://127.0.0.1:5001\"]", "component = \"users.wasm\"")
                + "[[route]]\npath = \"/\"\nmethod = \"GET\"\ncall = \"users/get\"\nauth = \"staff\"\n\
                   from_header = { token = \"Authorization\" }\n",
            "which has the credential of policy `staff`",
            "forward = true",
        ),
        (format!("[gateway]\ndefault_auth = \"x\"\n{JWT}"), "there is no policy `x`", "policies"),
    ];
    assert_refused(&cases);
}

#[test]
fn a_policy_that_nobody_can_satisfy_is_refused() {
    let jwks = "jwks = \"https://id.example/keys\"";
    let jwt = |from: &'static str, to: &'static str| JWT.replace(from, to);
    let cases = [
        (
            "[auth.a]\nkind = \"certificate\"\nsubjects = [\"dns:a\"]\n".into(),
            "nobody can show a certificate",
            "client_ca",
        ),
        (
            "[gateway.tls]\nself_signed = true\n[auth.a]\nkind = \"certificate\"\nsubjects = [\"dns:a\"]\n".into(),
            "nobody can show a certificate",
            "client_ca",
        ),
        ("[auth.a]\nkind = \"api-key\"\nheader = \"Host\"\n".into(), "`host` cannot have a credential", "x-api-key"),
        (
            "[auth.a]\nkind = \"api-key\"\nheader = \"content-length\"\n".into(),
            "`content-length` cannot have",
            "leave it out",
        ),
        (jwt(jwks, "header = \"TE\"\njwks = \"https://a/k\""), "`te` cannot have a credential", "x-api-key"),
        (jwt(jwks, "header = \"X-Atoll-Subject\"\njwks = \"https://a/k\""), "`x-atoll-subject` cannot", "another"),
        (
            "[auth.a]\nkind = \"api-key\"\n[service.users]\nurls = [\"http://127.0.0.1:1\"]\n[[route]]\n\
             prefix = \"/\"\nservice = \"users\"\nauth = \"a\"\nclaims = { tenant = \"x\" }\n"
                .into(),
            "nobody has these claims",
            "demand scopes",
        ),
    ];
    assert_refused(&cases);
}

/// Each text has one finding, with these words in its message and in its help.
#[track_caller]
fn assert_refused(cases: &[(String, &str, &str)]) {
    for (text, message, help) in cases {
        let found = lines(&parse(text, &[]).expect_err(message));
        let [one] = &found[..] else { panic!("not one finding for {message}: {found:#?}\n{text}") };
        let (before, after) = one.split_once(" | ").expect("message and help");
        assert!(before.contains(message) && after.contains(help), "{message} | {help}\n{one}");
        assert!(!one.contains("hush"), "a secret is shown: {one}");
    }
}

#[test]
fn a_secret_is_as_long_as_its_algorithm_needs_and_is_not_shown() {
    let text = JWT.replace("[\"ES256\", \"Ed25519\"]", "[\"HS256\", \"HS512\"]");
    let text = text.replace("jwks = \"https://id.example/keys\"", "secret = { from_env = \"X\" }");
    let hush = "hush".repeat(16);
    let manifest = parse(&text, &[("X", &hush)]).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(!format!("{:?}", manifest.auth).contains("hush"));
    let found = lines(&parse(&text, &[("X", &hush[1..])]).expect_err("it is too short"));
    assert!(found[0].contains("63 bytes, and these algorithms need 64") && !found[0].contains("hush"), "{found:?}");
}

#[test]
fn an_error_shows_no_secret_that_somebody_has_written_into_the_manifest() {
    let (plain, policy) = ("hush-hush-hush", JWT.replace("jwks = \"https://id.example/keys\"", "secret = \"SECRET\""));
    let texts = [
        // Wrong by itself, beside something wrong, and in a line that is no TOML.
        policy.replace("SECRET", plain),
        policy.replace("SECRET", plain).replace("issuer =", "isuer ="),
        policy.replace("\"SECRET\"", &format!("\"{plain}")),
        format!("[state]\nencryption = {{ key = \"{plain}\" }}\n"),
        format!("[gateway.tls.acme.external_account]\nid = 1\nkey = '{plain}'\n"),
        format!("[service.a]\ncomponent = \"a.wasm\"\nsecrets = {{ stripe = \"{plain}\" }}\n"),
        format!("[service.a]\ncomponent = \"a.wasm\"\n[service.a.secrets]\nstripe = \"{plain}\"\n"),
        format!("[auth.a]\nkind = \"introspection\"\nclient_secret = \"{plain}\"\nendpoint = 1\n"),
    ];
    for text in texts {
        let errors = parse(&text, &[]).expect_err(&text);
        for style in [RenderStyle::Plain, RenderStyle::Terminal] {
            let shown = errors.render(style);
            assert!(!shown.contains("hush") && shown.contains("**************"), "{shown}");
        }
        assert!(!errors.to_string().contains("hush"), "{errors}");
    }
}
