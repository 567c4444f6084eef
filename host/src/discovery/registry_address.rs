//! The addresses of registries: `consul://`, `etcd://`, `eureka://`, `k8s://`.

use http::Uri;
use http::uri::{Authority, Scheme};
use std::fmt;

/// A kind of registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegistryKind {
    /// HashiCorp Consul.
    Consul,
    /// etcd.
    Etcd,
    /// Netflix Eureka.
    Eureka,
    /// The API server of Kubernetes.
    Kubernetes,
}

/// What a registry is asked for, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryAddress {
    /// The kind.
    pub kind: RegistryKind,
    /// `http://10.0.0.2:8500/`; `None`: the API server of the cluster that this host runs in.
    pub server: Option<Uri>,
    /// The service, the prefix of keys, the app; in Kubernetes `namespace/service`, perhaps with `:port`.
    pub name: String,
    /// Whether the endpoints speak TLS.
    pub secure: bool,
    /// What follows the question mark, in its order: each parameter is one that its kind knows.
    params: Vec<(String, String)>,
}

/// What is wrong with an address, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongAddress {
    /// Continues "`urls` …". It shows no value, which may be a secret.
    pub message: String,
    /// What to write.
    pub help: String,
}

/// What the addresses of one kind look like.
struct AddressForm {
    kind: RegistryKind,
    scheme: &'static str,
    /// The port of the registry, without TLS and with it.
    ports: (u16, u16),
    params: &'static [&'static str],
    example: &'static str,
}

/// The ports: developer.hashicorp.com/consul/docs/install/ports, IANA for etcd, the README of Netflix Eureka's and
/// Spring's servers.
const FORMS: [AddressForm; 4] = [
    AddressForm {
        kind: RegistryKind::Consul,
        scheme: "consul",
        ports: (8500, 8501),
        params: &["dc", "near", "tag", "tls"],
        example: "\"consul://10.0.0.2:8500/users?dc=west&tag=v2\"",
    },
    AddressForm {
        kind: RegistryKind::Etcd,
        scheme: "etcd",
        ports: (2379, 2379),
        params: &["tls"],
        example: "\"etcd://10.0.0.2:2379/services/users/\"",
    },
    AddressForm {
        kind: RegistryKind::Eureka,
        scheme: "eureka",
        ports: (8761, 8761),
        params: &["path", "tls"],
        example: "\"eureka://10.0.0.2:8761/users\"",
    },
    AddressForm {
        kind: RegistryKind::Kubernetes,
        scheme: "k8s",
        ports: (0, 0),
        params: &["server"],
        example: "\"k8s://shop/users:http\"",
    },
];

impl RegistryKind {
    /// Its name in the manifest: `consul`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consul => "consul",
            Self::Etcd => "etcd",
            Self::Eureka => "eureka",
            Self::Kubernetes => "kubernetes",
        }
    }

    fn form(self) -> &'static AddressForm {
        FORMS.iter().find(|form| form.kind == self).expect("each kind has its form")
    }
}

impl fmt::Display for RegistryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RegistryAddress {
    /// The registry that `address` names: by the scheme of its kind, with `+https` for endpoints with TLS. `None`: the
    /// address has another scheme.
    ///
    /// # Errors
    /// What is wrong with an address of these schemes.
    pub fn of(address: &Uri) -> Option<Result<Self, WrongAddress>> {
        let scheme = address.scheme_str()?;
        let (scheme, secure) = scheme.strip_suffix("+https").map_or((scheme, false), |plain| (plain, true));
        let form = FORMS.iter().find(|form| form.scheme == scheme)?;
        let wrong = |message: String| WrongAddress { message, help: format!("write {}", form.example) };
        Some(Self::read(address, form, secure).map_err(wrong))
    }

    fn read(address: &Uri, form: &AddressForm, secure: bool) -> Result<Self, String> {
        let authority = address.authority().ok_or("names no host")?;
        if authority.as_str().contains('@') {
            let kind = form.kind;
            return Err(format!("must not hold a user, a password or a token: they stand in `[discovery.{kind}]`"));
        }
        let params = params(address.query().unwrap_or_default(), form)?;
        let mut read = Self { kind: form.kind, server: None, name: String::new(), secure, params };
        let path = address.path().strip_prefix('/').unwrap_or_default();
        (read.server, read.name) = match form.kind {
            RegistryKind::Kubernetes => (read.api_server()?, cluster_service(authority, path)?),
            RegistryKind::Etcd => (Some(read.server_at(authority)?), prefix(path)?),
            RegistryKind::Consul | RegistryKind::Eureka => (Some(read.server_at(authority)?), segment(path)?),
        };
        if let Some(above) = read.param("path")
            && !(above.starts_with('/') && above.split('/').skip(1).all(is_word))
        {
            return Err("must have a `path` such as /eureka/v2".to_owned());
        }
        Ok(read)
    }

    /// The first value of a parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter.
    pub(super) fn all_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.params.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The scheme of its endpoints.
    pub(super) fn endpoint_scheme(&self) -> Scheme {
        if self.secure { Scheme::HTTPS } else { Scheme::HTTP }
    }

    /// The registry at `authority`, with the port of its kind where it has none.
    fn server_at(&self, authority: &Authority) -> Result<Uri, String> {
        let tls = match self.param("tls") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err("must have `tls=true`, or no `tls`".to_owned()),
        };
        let (plain, secure) = self.kind.form().ports;
        let port = port_of(authority, if tls { secure } else { plain })?;
        let scheme = if tls { Scheme::HTTPS } else { Scheme::HTTP };
        let server = Uri::builder().scheme(scheme).authority(format!("{}:{port}", authority.host()));
        server.path_and_query("/").build().map_err(|_| "names no host".to_owned())
    }

    /// The API server that is written.
    fn api_server(&self) -> Result<Option<Uri>, String> {
        let Some(text) = self.param("server") else { return Ok(None) };
        let wrong = || "must have a `server` such as https://10.0.0.1:6443, and nothing after its port".to_owned();
        let server: Uri = text.parse().map_err(|_| wrong())?;
        let is_http = server.scheme().is_some_and(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
        let authority = server.authority().filter(|authority| is_http && !authority.as_str().contains('@'));
        port_of(authority.ok_or_else(wrong)?, 443).map_err(|_| wrong())?;
        if server.path() == "/" && server.query().is_none() { Ok(Some(server)) } else { Err(wrong()) }
    }
}

/// The parameters of a query. The messages show no value: it may be a token.
fn params(query: &str, form: &AddressForm) -> Result<Vec<(String, String)>, String> {
    let mut params: Vec<(String, String)> = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let kind = form.kind;
        if ["token", "password", "user", "secret"].contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("must not hold a `{name}`: write it in `[discovery.{kind}]`, by reference"));
        }
        if !form.params.contains(&name) {
            let known = form.params.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(format!("has an unknown parameter `{name}`; of {kind} there are {known}"));
        }
        if value.is_empty() {
            return Err(format!("has a parameter `{name}` without a value"));
        }
        if name != "tag" && params.iter().any(|(own, _)| own == name) {
            return Err(format!("has the parameter `{name}` twice"));
        }
        params.push((name.to_owned(), value.to_owned()));
    }
    Ok(params)
}

/// The port of `authority`, which `Authority` reports as absent if it is not a number.
fn port_of(authority: &Authority, default: u16) -> Result<u16, String> {
    let written = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    let port = if written.is_empty() { Some(default) } else { authority.port_u16().filter(|port| *port > 0) };
    let port = port.filter(|_| !authority.host().is_empty());
    port.ok_or_else(|| "must have a host, and a port of 1 to 65535 or none".to_owned())
}

/// The one part of a path: the name of a service or of an app.
fn segment(path: &str) -> Result<String, String> {
    if is_word(path) { Ok(path.to_owned()) } else { Err("must name one service after the host".to_owned()) }
}

/// Letters, digits and what stands in names: no `%`, so that a name is the same in each registry's own words.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// A prefix of keys, which begins at the first letter: `services/users/`.
fn prefix(path: &str) -> Result<String, String> {
    match path {
        "" => Err("must name a prefix of keys after the host".to_owned()),
        path if path.contains('%') => Err("must have its prefix in plain letters, without `%`".to_owned()),
        path => Ok(path.to_owned()),
    }
}

/// `namespace/service`, perhaps with `:port`.
fn cluster_service(namespace: &Authority, path: &str) -> Result<String, String> {
    let (service, port) = path.split_once(':').map_or((path, None), |(service, port)| (service, Some(port)));
    if !is_label(namespace.as_str()) {
        return Err("must name a namespace in place of a host".to_owned());
    }
    if !is_label(service) {
        return Err("must name one Service after the namespace".to_owned());
    }
    if !port.is_none_or(is_label) {
        return Err("must have a port by its name, or by the number that the pods have".to_owned());
    }
    Ok(format!("{namespace}/{path}"))
}

/// A label of RFC 1123, as the names of Kubernetes are.
fn is_label(text: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| is_plain(&byte) || byte == b'-')
        && text.as_bytes().first().is_some_and(is_plain)
        && text.as_bytes().last().is_some_and(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Result<RegistryAddress, WrongAddress>> {
        RegistryAddress::of(&text.parse().unwrap())
    }

    #[test]
    fn an_address_names_a_registry_and_what_it_is_asked_for() {
        for (text, server, name, secure) in [
            ("consul://10.0.0.2/users", Some("http://10.0.0.2:8500/"), "users", false),
            ("consul://c.internal/users?tls=true", Some("https://c.internal:8501/"), "users", false),
            ("consul+https://c:1/users?dc=a&tag=b&tag=c&near=_agent", Some("http://c:1/"), "users", true),
            ("etcd://[::1]/services/users/", Some("http://[::1]:2379/"), "services/users/", false),
            ("etcd://e/u?tls=false", Some("http://e:2379/"), "u", false),
            ("eureka://e/USERS?path=/eureka/v2", Some("http://e:8761/"), "USERS", false),
            ("k8s://shop/users", None, "shop/users", false),
            ("k8s+https://shop/users:http", None, "shop/users:http", true),
            (
                "k8s://shop/users:8080?server=https://10.0.0.1:6443",
                Some("https://10.0.0.1:6443/"),
                "shop/users:8080",
                false,
            ),
        ] {
            let read = read(text).unwrap().unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
            let found = (read.server.map(|uri| uri.to_string()), read.name, read.secure);
            assert_eq!(found, (server.map(ToOwned::to_owned), name.to_owned(), secure), "{text}");
        }
        let tags = read("consul://c/users?tag=b&tag=c&dc=w").unwrap().unwrap();
        assert_eq!(tags.all_of("tag").collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(tags.param("dc"), Some("w"));
        assert_eq!(read("http://users.internal"), None);
        assert_eq!(read("consuls://a/b"), None);
    }

    #[test]
    fn a_wrong_address_is_told_why_without_its_values() {
        for (text, why) in [
            ("consul://me:s3cret@c/users", "must not hold a user"),
            ("consul://c/users?token=s3cret", "must not hold a `token`: write it in `[discovery.consul]`"),
            ("consul://c/", "one service"),
            ("consul://c/users/v2", "one service"),
            (
                "consul://c/users?tags=s3cret",
                "unknown parameter `tags`; of consul there are `dc`, `near`, `tag`, `tls`",
            ),
            ("consul://c/users?dc=", "`dc` without a value"),
            ("consul://c/users?dc=a&dc=b", "`dc` twice"),
            ("consul://c/users?tls=yes", "`tls=true`"),
            ("consul://c:0/users", "a port of 1 to 65535"),
            ("consul://c:/users", "a port of 1 to 65535"),
            ("etcd://e", "a prefix of keys"),
            ("etcd://e/a%20b", "without `%`"),
            ("eureka://e/users?path=v2", "`path` such as"),
            ("eureka://e/users?path=/v2/../x%2F", "`path` such as"),
            ("k8s://shop", "one Service"),
            ("k8s://shop:80/users", "a namespace in place"),
            ("k8s://shop/Users", "one Service"),
            ("k8s://shop/users:", "a port by its name"),
            ("k8s://shop/users?server=10.0.0.1:6443", "a `server` such as"),
            ("k8s://shop/users?server=https://a/b", "a `server` such as"),
        ] {
            let wrong = read(text).unwrap().expect_err(text);
            assert!(wrong.message.contains(why), "{text}: {}", wrong.message);
            assert!(!wrong.message.contains("s3cret") && wrong.help.starts_with("write \""), "{text}: {wrong:?}");
        }
    }
}
