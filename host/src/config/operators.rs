//! `[operator.NAME]`: tokens of operators, each with a role.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::ChoiceKind;
use super::reader::section::Section;
use super::secret::{self, SecretKind};
use super::token;
use crate::admin::{self, Operator, Role, Token};
use std::path::Path;

static ROLE: ManifestKey<ChoiceKind<Role>> = ManifestKey::new(
    "role",
    ChoiceKind(&[("read", Role::Read), ("operate", Role::Operate), ("admin", Role::Admin)]),
    r#""read""#,
    "What the operator may do: `read` sees everything, `operate` also swaps, rolls back, and changes circuits and \
     faults, `admin` also makes and revokes API keys, erases the data of a service, and replaces the key of the data.",
);
static TOKEN: ManifestKey<SecretKind> = ManifestKey::without_default(
    "token",
    SecretKind,
    "The token that the operator sends. It is required. Two operators cannot have the same.",
);

/// The longest name of an operator, in bytes.
const LONGEST_NAME: usize = 64;

/// Reads all sections `[operator.NAME]`, of an admin with these settings, which have no operators yet.
pub(super) fn read_all(
    root: &mut Section<'_>,
    admin: &admin::Settings,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Vec<Operator> {
    let mut operators: Vec<(String, Operator)> = Vec::new();
    for (name, mut section) in root.sections("operator") {
        let role = section.get(&ROLE);
        let there = section.has(TOKEN.name);
        let secret = secret::read(&mut section, &TOKEN, folder, env);
        let report = section.report;
        let title = ValueOrigin::Text(section.span.clone());
        if !is_name(name.get_ref()) {
            let message = format!("`{}` is no name of an operator", name.get_ref());
            let help = format!("use 1 to {LONGEST_NAME} of a-z, A-Z, 0-9, '-', '_' and '.'");
            report.push(ValueOrigin::Text(name.span()), message, help);
        }
        if !there {
            let help = "add token = { env = \"VARIABLE\" }, or token = { file = \"path\" }";
            report.push_if_whole(title, format!("[operator.{}] has no `token`", name.get_ref()), help);
        }
        section.close();
        let Some(secret) = secret else { continue };
        let text = secret.value.expose().trim();
        if let Some((message, help)) = token::weakness(text, None) {
            report.push(secret.origin, format!("`token` {message}"), help);
        } else if admin.token.as_ref().is_some_and(|token| token.matches(text.as_bytes())) {
            let message = "`token` is that of ATOLL_ADMIN_TOKEN too, with which everybody is the admin";
            report.push(secret.origin, message, "make another one with `openssl rand -hex 32`");
        } else if let Some((_, other)) = operators.iter().find(|(known, _)| known == text) {
            let message = format!("`token` is that of operator `{}` too, so nobody could tell them apart", other.name);
            report.push(secret.origin, message, "make one for each of them with `openssl rand -hex 32`");
        } else {
            let operator = Operator { name: (*name.get_ref()).into(), role, token: Token::new(text) };
            operators.push((text.to_owned(), operator));
        }
    }
    operators.into_iter().map(|(_, operator)| operator).collect()
}

fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use crate::admin::Role;
    use crate::config::Manifest;
    use std::path::Path;

    const STRONG: &str = "00112233445566778899aabbccddeeff";

    fn parse(text: &str) -> Result<Vec<(String, Role)>, String> {
        let env = |name: &str| match name {
            "A" => Some(STRONG.to_owned()),
            "B" => Some(STRONG.chars().rev().collect()),
            "WEAK" => Some("hunter2".to_owned()),
            "BLANK" => Some(" \n".to_owned()),
            "ATOLL_ADMIN_TOKEN" => Some("ffeeddccbbaa99887766554433221100ff".to_owned()),
            "OWN" => Some("ffeeddccbbaa99887766554433221100ff".to_owned()),
            _ => None,
        };
        let parsed = Manifest::parse("atoll.toml", text.into(), Path::new("/base"), &env);
        let operators = parsed.map(|manifest| manifest.admin.settings.operators).map_err(|errors| errors.to_string());
        Ok(operators?.into_iter().map(|operator| (operator.name.to_string(), operator.role)).collect())
    }

    #[test]
    fn operators_have_a_role_and_a_token_of_their_own() {
        let two =
            "[operator.ann]\nrole = \"operate\"\ntoken = { env = \"A\" }\n[operator.grafana]\ntoken = { env = \"B\" }";
        let expected = [("ann".to_owned(), Role::Operate), ("grafana".to_owned(), Role::Read)];
        assert_eq!(parse(two).unwrap(), expected);
        assert_eq!(parse("").unwrap(), []);
        // An operator's token is enough where other machines can reach the admin.
        assert!(parse(&format!("{two}\n[admin]\nlisten = \"0.0.0.0:9090\"")).is_ok());
    }

    #[test]
    fn a_token_that_is_missing_weak_or_not_ones_own_is_refused_and_never_shown() {
        for (text, message) in [
            ("[operator.ann]\nrole = \"read\"", "[operator.ann] has no `token`"),
            ("[operator.ann]\ntoken = { env = \"NONE\" }", "`token` cannot be read"),
            ("[operator.ann]\ntoken = \"hunter2\"", "must not stand in the manifest"),
            ("[operator.ann]\ntoken = { env = \"A\" }\nrole = \"root\"", "must be \"read\" or"),
            ("[operator.\"a b\"]\ntoken = { env = \"A\" }", "is no name of an operator"),
            (
                "[operator.a]\ntoken = { env = \"A\" }\n[operator.b]\ntoken = { env = \"A\" }",
                "that of operator `a` too",
            ),
            ("[admin]\nlisten = \"0.0.0.0:9090\"\n[operator.a]\ntoken = { env = \"WEAK\" }", "can be guessed"),
            ("[operator.a]\ntoken = { env = \"WEAK\" }", "`token` can be guessed: a text like this has at most"),
            ("[operator.a]\ntoken = { env = \"BLANK\" }", "`token` is empty"),
            ("[operator.a]\ntoken = { env = \"OWN\" }", "`token` is that of ATOLL_ADMIN_TOKEN too"),
        ] {
            let errors = parse(text).expect_err(text);
            assert!(errors.contains(message), "{errors}");
            assert!(
                !errors.contains("hunter2\" can") && !errors.contains(STRONG) && !errors.contains("ffeedd"),
                "{errors}"
            );
        }
    }
}
