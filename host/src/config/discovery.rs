//! `[discovery]`: the bounds of sources of endpoints, and how this host proves itself to registries.

use super::reader::file::{PathKind, RequiredPath};
use super::reader::key::ManifestKey;
use super::reader::kind::{CountKind, TextKind};
use super::reader::measure::{KIB, MIB, SizeKind, in_memory};
use super::reader::section::Section;
use super::secret::{self, SecretKind};
use crate::discovery::{RegistryLogin, RegistrySecret, Settings};
use http::Uri;
use std::path::{Path, PathBuf};

static ENDPOINTS: ManifestKey<CountKind<u32>> = ManifestKey::new(
    "endpoints",
    CountKind { min: 1, max: 16_384 },
    "1024",
    "The most endpoints of one registry address of `urls`. Those beyond are left out, and counted.",
);
static ANSWER: ManifestKey<SizeKind> = ManifestKey::new(
    "answer",
    SizeKind { min: 64 * KIB, max: 256 * MIB },
    r#""8MiB""#,
    "The longest answer of a registry. A longer one is none.",
);
static TOKEN: ManifestKey<SecretKind> = ManifestKey::without_default(
    "token",
    SecretKind,
    "The token that is sent to registries of this kind: `{ from_env }` or `{ file }`. A file is read before each \
     question, so what renews tokens may write it anew.",
);
static USER: ManifestKey<TextKind> = ManifestKey::without_default(
    "user",
    TextKind { min: 1 },
    "The name of a user at registries of this kind. Only with `password`.",
);
static PASSWORD: ManifestKey<SecretKind> = ManifestKey::without_default(
    "password",
    SecretKind,
    "The password of `user`: `{ from_env }` or `{ file }`. A file is read before each login.",
);
static CA: ManifestKey<PathKind> = ManifestKey::without_default(
    "ca",
    PathKind,
    "A PEM file of root certificates, against which the certificates of registries of this kind are checked. Absent: \
     the roots of the system; in a cluster of Kubernetes its API server's.",
);

const CERTIFICATES: RequiredPath = RequiredPath {
    name: "the certificates",
    is_folder: false,
    wrong_type_help: "name the PEM file itself",
    absent_help: "correct the path, or leave `ca` out to trust what the system trusts",
};

/// Where a pod finds its API server (kubernetes.io/docs/tasks/run-application/access-api-from-pod).
const CLUSTER: (&str, &str) = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT");
/// Where a pod finds its token and the roots of the API server.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Reads the section.
pub(super) fn read(root: &mut Section<'_>, folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> Settings {
    let mut section = root.section("discovery");
    let (endpoints, answer) = (section.get(&ENDPOINTS), in_memory(section.get(&ANSWER)));
    let cluster = cluster(env);
    let with_token = |section: &mut Section<'_>, name| with_token(section.section(name), folder, env);
    let with_user = |section: &mut Section<'_>, name| with_user(section.section(name), folder, env);
    let consul = with_token(&mut section, "consul");
    let (etcd, eureka) = (with_user(&mut section, "etcd"), with_user(&mut section, "eureka"));
    let mut kubernetes = with_token(&mut section, "kubernetes");
    if cluster.is_some() {
        let file = |name| Some(Path::new(ACCOUNT).join(name)).filter(|path: &PathBuf| path.is_file());
        kubernetes.secret = kubernetes.secret.or_else(|| file("token").map(RegistrySecret::File));
        kubernetes.ca = kubernetes.ca.or_else(|| file("ca.crt"));
    }
    section.close();
    Settings {
        endpoints: usize::try_from(endpoints).expect("at most 16,384"),
        answer,
        // In the order of `RegistryKind`.
        logins: [consul, etcd, eureka, kubernetes],
        cluster,
    }
}

/// The API server of the cluster in whose pod this host runs.
fn cluster(env: &dyn Fn(&str) -> Option<String>) -> Option<Uri> {
    let (host, port) = (env(CLUSTER.0)?, env(CLUSTER.1)?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Uri::builder().scheme("https").authority(format!("{host}:{port}")).path_and_query("/").build().ok()
}

fn with_token(mut section: Section<'_>, folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> RegistryLogin {
    let secret = secret::read_anew(&mut section, &TOKEN, folder, env);
    let ca = section.find(&CA).map(|found| CERTIFICATES.resolve(&found, folder, section.report));
    section.close();
    RegistryLogin { user: None, secret, ca }
}

fn with_user(mut section: Section<'_>, folder: &Path, env: &dyn Fn(&str) -> Option<String>) -> RegistryLogin {
    let report = section.report;
    let user = section.find(&USER);
    let (has_user, has_password) = (section.has(USER.name), section.has(PASSWORD.name));
    let origin = section.first_of(&[PASSWORD.name]);
    let secret = secret::read_anew(&mut section, &PASSWORD, folder, env);
    if let Some(user) = user.as_ref().filter(|_| !has_password) {
        let help = "add password = { from_env = \"REGISTRY_PASSWORD\" }";
        report.push_if_whole(user.origin.clone(), "`user` has no `password`", help);
    }
    if let Some((_, span)) = origin.filter(|_| !has_user) {
        let origin = super::reader::finding::ValueOrigin::Text(span);
        report.push_if_whole(origin, "`password` has no `user`", "add user = \"NAME\"");
    }
    let ca = section.find(&CA).map(|found| CERTIFICATES.resolve(&found, folder, report));
    section.close();
    RegistryLogin { user: user.map(|user| user.value), secret, ca }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Manifest;
    use crate::discovery::RegistryKind;

    fn parse(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "from-a-file\n").expect("a file");
        let env = |name: &str| match name {
            "SECRET" => Some("s3cret".to_owned()),
            "KUBERNETES_SERVICE_HOST" => Some("fd00::1".to_owned()),
            "KUBERNETES_SERVICE_PORT" => Some("6443".to_owned()),
            _ => None,
        };
        let read = Manifest::parse("atoll.toml", text.to_owned(), folder.path(), &env);
        read.map(|manifest| manifest.discovery).map_err(|errors| errors.to_string())
    }

    #[test]
    fn secrets_come_from_the_environment_or_a_file_that_is_read_anew() {
        let read = parse(
            "[discovery]\nendpoints = 7\nanswer = '1MiB'\nconsul = { token = { from_env = 'SECRET' } }\n\
             etcd = { user = 'atoll', password = { file = 'token' } }\n",
        )
        .unwrap();
        assert_eq!((read.endpoints, read.answer), (7, 1 << 20));
        assert_eq!(read.login(RegistryKind::Consul).secret, Some(RegistrySecret::Text("s3cret".into())));
        let etcd = read.login(RegistryKind::Etcd);
        assert_eq!(etcd.user.as_deref(), Some("atoll"));
        assert!(matches!(&etcd.secret, Some(RegistrySecret::File(path)) if path.ends_with("token")), "{etcd:?}");
        assert_eq!(read.cluster, Some("https://[fd00::1]:6443/".parse().unwrap()));
        assert!(!format!("{read:?}").contains("s3cret"));
        assert_eq!(parse("").unwrap(), Settings { cluster: read.cluster, ..Settings::default() });
    }

    #[test]
    fn what_a_login_cannot_be_is_a_finding_without_the_secret() {
        for (text, message, help) in [
            ("consul = { token = 's3cret' }", "`token` must not stand in the manifest", "from_env"),
            ("consul = { token = { from_env = 'GONE' } }", "`token` cannot be read: GONE is not set", "environment"),
            ("etcd = { user = 'u' }", "`user` has no `password`", "from_env"),
            ("eureka = { password = { from_env = 'SECRET' } }", "`password` has no `user`", "add user"),
            ("kubernetes = { user = 'u' }", "unknown key `user`", "token"),
            ("endpoints = 0", "`endpoints` must be a whole number of 1 to 16384", "1 to 16384"),
            ("consul = { ca = 'gone.pem' }", "cannot find the certificates `gone.pem`", "leave `ca` out"),
        ] {
            let found = parse(&format!("[discovery]\n{text}\n")).expect_err(text);
            assert!(found.contains(message) && found.contains(help), "{text}: {found}");
            assert!(!found.contains("s3cret"), "{text}: {found}");
        }
    }
}
