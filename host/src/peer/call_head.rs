//! What a call carries to another node, beside its arguments or its body: header fields that begin with `atoll-peer-`.

use super::protocol::PeerProtocol;
use crate::base::{
    CallContext, Digest, HostAndPort, Identity, IdentityFields, ProofKind, RequestId, SecureOrigin, ServiceName,
    StickyFields, TraceParent, TraceScope,
};
use crate::contract::{FunctionName, InterfaceName};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The beginning of every field of this room.
const PREFIX: &str = "atoll-peer-";
/// The version of the wire. A node refuses one that it does not understand by name.
const PROTOCOL: HeaderName = HeaderName::from_static("atoll-peer-protocol");
const SERVICE: HeaderName = HeaderName::from_static("atoll-peer-service");
const FUNCTION: HeaderName = HeaderName::from_static("atoll-peer-function");
const SIGNATURE: HeaderName = HeaderName::from_static("atoll-peer-signature");
/// From version 2 on, in place of the three: what is left, the depth and the request, with a space between them.
const CALL: HeaderName = HeaderName::from_static("atoll-peer-call");
/// What is left of the call's time, in microseconds.
const LEFT: HeaderName = HeaderName::from_static("atoll-peer-left");
const DEPTH: HeaderName = HeaderName::from_static("atoll-peer-depth");
const REQUEST: HeaderName = HeaderName::from_static("atoll-peer-request");
const TRACE: HeaderName = HeaderName::from_static("atoll-peer-trace");
const IDENTITY: HeaderName = HeaderName::from_static("atoll-peer-identity");
const STICKY: HeaderName = HeaderName::from_static("atoll-peer-sticky");
/// The `Host` of an HTTP request: on the wire the host is the node.
const ORIGINAL_HOST: HeaderName = HeaderName::from_static("atoll-peer-host");
/// Whether the client of an HTTP request came by TLS.
const SECURE: HeaderName = HeaderName::from_static("atoll-peer-secure");

/// The longest time that a call may have left, in microseconds: a day. A deadline beyond it would not fit a clock.
const LONGEST: u64 = 86_400_000_000;

/// A function that is called, and its types as the caller knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalledFunction {
    /// The function.
    pub name: FunctionName,
    /// The digest of its types.
    pub signature: Digest,
}

/// What a call carries to another node, beside its arguments or its body.
#[derive(Debug, Clone)]
pub struct CallHead {
    /// The service that is called.
    pub service: ServiceName,
    /// The function that is called; `None` for an HTTP request.
    pub function: Option<CalledFunction>,
    /// Request, deadline, depth, identity and what sticks, as on the calling node. Its trace is `parent`.
    pub context: CallContext,
    /// The place in the request's trace from which the call was made; `None` if it has none.
    pub parent: Option<TraceParent>,
}

/// Why a request is no call of another node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The other node speaks a version that this one does not understand.
    #[error(
        "the calling node speaks version {0} of the peers' protocol, and this one version {oldest} to {1}",
        oldest = PeerProtocol::OLDEST
    )]
    Version(String, PeerProtocol),
    /// A field is missing or wrong.
    #[error("`{0}` is missing or wrong")]
    Field(HeaderName),
}

/// An identity on the wire.
#[derive(Serialize, Deserialize)]
struct WireIdentity {
    subject: String,
    policy: String,
    proof: String,
    scopes: BTreeSet<String>,
    claims: String,
}

impl CallHead {
    /// Writes the head of a call of `function` of `service`, or of an HTTP request to it, into `headers`. Fields that
    /// only a head has, and that somebody else put there, are removed first. It is `now`, and the other node
    /// understands `protocol`.
    pub fn write(
        (service, function): (&ServiceName, Option<(&FunctionName, Digest)>),
        context: &CallContext,
        (now, protocol): (Instant, PeerProtocol),
        headers: &mut HeaderMap,
    ) {
        strip(headers);
        headers.insert(PROTOCOL, protocol.header());
        headers.insert(SERVICE, value(service.as_str()));
        if let Some((name, signature)) = function {
            headers.insert(FUNCTION, value(&name.to_string()));
            headers.insert(SIGNATURE, value(&signature.to_string()));
        }
        let left = context.deadline.saturating_duration_since(now).as_micros();
        let left = u64::try_from(left).unwrap_or(LONGEST).min(LONGEST);
        if protocol >= PeerProtocol::JOINED {
            headers.insert(CALL, value(&format!("{left} {} {}", context.depth, context.request_id)));
        } else {
            headers.insert(LEFT, HeaderValue::from(left));
            headers.insert(DEPTH, HeaderValue::from(context.depth));
            headers.insert(REQUEST, context.request_id.header());
        }
        if let Some(parent) = context.trace.as_ref().map(TraceScope::parent) {
            headers.insert(TRACE, value(&parent.to_string()));
        }
        if let Some(identity) = &context.identity {
            headers.insert(IDENTITY, packed(&WireIdentity::of(identity)));
        }
        if let Some(fields) = &context.sticky_fields {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, text)| (&**name, text.as_str())).collect();
            headers.insert(STICKY, packed(&fields));
        }
    }

    /// Writes what an HTTP request says of its client's connection, after [`CallHead::write`].
    pub fn write_origin<B>(request: &mut Request<B>) {
        if let Some(host) = request.headers_mut().remove(HOST) {
            request.headers_mut().insert(ORIGINAL_HOST, host);
        }
        if request.extensions().get::<SecureOrigin>().is_some() {
            request.headers_mut().insert(SECURE, HeaderValue::from_static("1"));
        }
    }

    /// Takes the head, which came at `now`, out of a request. What is left is as it was on the calling node. This node
    /// understands `newest` and older versions.
    ///
    /// # Errors
    /// The request is no call of another node, or of one that speaks another version.
    pub fn take<B>(request: &mut Request<B>, (now, newest): (Instant, PeerProtocol)) -> Result<Self, HeadError> {
        let head = Self::read(request.headers(), (now, newest))?;
        if request.headers().contains_key(SECURE) {
            request.extensions_mut().insert(SecureOrigin);
        }
        let headers = request.headers_mut();
        headers.remove(HOST);
        if let Some(host) = headers.remove(ORIGINAL_HOST) {
            let is_host = host.to_str().is_ok_and(|text| HostAndPort::parse(text).is_some());
            headers.extend(is_host.then_some((HOST, host)));
        }
        strip(headers);
        Ok(head)
    }

    fn read(headers: &HeaderMap, (now, newest): (Instant, PeerProtocol)) -> Result<Self, HeadError> {
        let version = required(headers, PROTOCOL)?;
        let protocol = PeerProtocol::parse(version).filter(|protocol| *protocol <= newest);
        let protocol = protocol.ok_or_else(|| HeadError::Version(version.to_owned(), newest))?;
        let service = ServiceName::new(required(headers, SERVICE)?).map_err(|_| HeadError::Field(SERVICE))?;
        // Not by `text`: a call with two functions would be taken for an HTTP request.
        let called = headers.contains_key(&FUNCTION).then(|| required(headers, FUNCTION)).transpose()?;
        let function = called.map(|name| function(headers, name)).transpose()?;
        let (left, depth, request) = if protocol >= PeerProtocol::JOINED {
            joined(required(headers, CALL)?).ok_or(HeadError::Field(CALL))?
        } else {
            let depth = usize::try_from(number(headers, DEPTH)?).map_err(|_| HeadError::Field(DEPTH))?;
            let request = RequestId::accept(required(headers, REQUEST)?).ok_or(HeadError::Field(REQUEST))?;
            (number(headers, LEFT)?, depth, request)
        };
        let left = left.min(LONGEST);
        let parent = optional(headers, TRACE, TraceParent::parse)?;
        let identity = optional(headers, IDENTITY, |text| unpacked::<WireIdentity>(text)?.identity())?;
        let sticky = optional(headers, STICKY, |text| Some(sticky(unpacked(text)?)))?;
        let mut context = CallContext::new(request, now, Duration::from_micros(left)).at_depth(depth);
        context.deadline_owner = crate::base::DeadlineOwner::Caller;
        (context.identity, context.sticky_fields) = (identity.map(Arc::new), sticky);
        Ok(Self { service, function, context, parent })
    }
}

impl WireIdentity {
    fn of(identity: &Identity) -> Self {
        let Identity { subject, policy, proof, scopes, claims, .. } = identity.clone();
        Self { subject, policy, proof: proof.as_str().to_owned(), scopes, claims }
    }

    fn identity(self) -> Option<Identity> {
        let Self { subject, policy, proof, scopes, claims } = self;
        let proof = ProofKind::named(&proof)?;
        Some(Identity { subject, policy, proof, scopes, claims, told: IdentityFields::default() })
    }
}

/// Removes every field of this room.
pub(super) fn strip(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| name.as_str().starts_with(PREFIX)) {
        return;
    }
    let own: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(PREFIX)).cloned().collect();
    for name in &own {
        headers.remove(name);
    }
}

fn function(headers: &HeaderMap, name: &str) -> Result<CalledFunction, HeadError> {
    let (interface, function) = name.rsplit_once('#').ok_or(HeadError::Field(FUNCTION))?;
    let signature = Digest::parse(required(headers, SIGNATURE)?).ok_or(HeadError::Field(SIGNATURE))?;
    let name = FunctionName { interface: InterfaceName::new(interface), function: function.to_owned() };
    Ok(CalledFunction { name, signature })
}

fn sticky(fields: Vec<(String, String)>) -> StickyFields {
    fields.into_iter().map(|(name, value)| (Arc::from(name), value)).collect()
}

/// A text without a character that a header field cannot have: names, digits, digests.
fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("visible ASCII")
}

fn packed(value: &impl Serialize) -> HeaderValue {
    let json = serde_json::to_vec(value).expect("texts and lists have JSON");
    self::value(&URL_SAFE_NO_PAD.encode(json))
}

fn unpacked<T: for<'a> Deserialize<'a>>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// The one value of a field.
pub(super) fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next()?, values.next());
    if second.is_some() { None } else { first.to_str().ok() }
}

fn required(headers: &HeaderMap, name: HeaderName) -> Result<&str, HeadError> {
    text(headers, &name).ok_or(HeadError::Field(name))
}

fn number(headers: &HeaderMap, name: HeaderName) -> Result<u64, HeadError> {
    text(headers, &name).and_then(whole).ok_or(HeadError::Field(name))
}

/// What is left, the depth and the request.
fn joined(text: &str) -> Option<(u64, usize, RequestId)> {
    let (left, rest) = text.split_once(' ')?;
    let (depth, request) = rest.split_once(' ')?;
    Some((whole(left)?, usize::try_from(whole(depth)?).ok()?, RequestId::accept(request)?))
}

fn whole(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// What `read` makes of a field; `None` if there is no such field.
fn optional<T>(
    headers: &HeaderMap,
    name: HeaderName,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, HeadError> {
    if !headers.contains_key(&name) {
        return Ok(None);
    }
    text(headers, &name).and_then(read).map(Some).ok_or(HeadError::Field(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use PeerProtocol as Protocol;
    use proptest::prelude::*;

    fn context(now: Instant) -> CallContext {
        let context = CallContext::new(RequestId::accept("r-1").unwrap(), now, Duration::from_millis(1500));
        let identity = Identity {
            subject: "Ann Ä".into(),
            policy: "staff".into(),
            proof: ProofKind::Token,
            scopes: ["orders:write".to_owned(), "a b".to_owned()].into(),
            claims: r#"{"sub":"Ann Ä"}"#.into(),
            told: IdentityFields::default(),
        };
        let sticky: StickyFields = Arc::new([("x-user".into(), "7 ü".to_owned())]);
        let mut context = context.at_depth(3);
        (context.identity, context.sticky_fields) = (Some(Arc::new(identity)), Some(sticky));
        context
    }

    fn name() -> FunctionName {
        let interface = InterfaceName::new("shop:products/products@1.0.0");
        FunctionName { interface, function: "get".into() }
    }

    #[test]
    fn a_call_arrives_with_all_that_it_carried() {
        for protocol in [Protocol::OLDEST, Protocol::NEWEST] {
            it_arrives(protocol);
        }
    }

    fn it_arrives(protocol: Protocol) {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(9));
        let (service, signature) = (ServiceName::new("products").unwrap(), Digest::of(b"types"));
        let sent = context(now);
        let mut request = Request::post("/x").header("host", "node-b:7000").header("a", "1").body(()).unwrap();
        // What a client sends under these names says nothing.
        request.headers_mut().insert("atoll-peer-secure", HeaderValue::from_static("1"));
        request.headers_mut().insert("atoll-peer-unknown", HeaderValue::from_static("1"));
        CallHead::write((&service, Some((&name(), signature))), &sent, (now, protocol), request.headers_mut());
        let joined = protocol == Protocol::NEWEST;
        assert_eq!((request.headers().contains_key(CALL), request.headers().contains_key(LEFT)), (joined, !joined));
        let head = CallHead::take(&mut request, (later, Protocol::NEWEST)).unwrap();
        assert_eq!(head.service, service);
        assert_eq!(head.function, Some(CalledFunction { name: name(), signature }));
        let CallContext { request_id, deadline, depth, identity, sticky_fields, .. } = head.context;
        assert_eq!((request_id.as_str(), deadline, depth), ("r-1", later + Duration::from_millis(1500), 3));
        assert_eq!((identity, sticky_fields), (sent.identity, sent.sticky_fields));
        let left: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["a"]);
        assert!(request.extensions().get::<SecureOrigin>().is_none());
    }

    #[test]
    fn an_http_request_keeps_its_host_and_its_origin() {
        let now = Instant::now();
        let mut request = Request::get("/x").header("host", "shop.example:8443").body(()).unwrap();
        request.extensions_mut().insert(SecureOrigin);
        CallHead::write(
            (&ServiceName::new("web").unwrap(), None),
            &context(now),
            (now, Protocol::NEWEST),
            request.headers_mut(),
        );
        CallHead::write_origin(&mut request);
        request.extensions_mut().clear();
        request.headers_mut().insert("host", HeaderValue::from_static("node-b"));
        let head = CallHead::take(&mut request, (now, Protocol::NEWEST)).unwrap();
        assert!(head.function.is_none());
        assert_eq!(request.headers().get("host").unwrap(), "shop.example:8443");
        assert_eq!(request.headers().len(), 1);
        assert!(request.extensions().get::<SecureOrigin>().is_some());
    }

    #[test]
    fn what_is_missing_or_wrong_is_refused_by_name() {
        let now = Instant::now();
        let function = (name(), Digest::of(b"types"));
        let mut whole = HeaderMap::new();
        let service = ServiceName::new("products").unwrap();
        CallHead::write(
            (&service, Some((&function.0, function.1))),
            &context(now),
            (now, Protocol::OLDEST),
            &mut whole,
        );
        let read = |headers: &HeaderMap| CallHead::read(headers, (now, Protocol::NEWEST));
        assert!(read(&whole).is_ok());
        for name in [PROTOCOL, SERVICE, SIGNATURE, LEFT, DEPTH, REQUEST] {
            let mut headers = whole.clone();
            headers.remove(&name);
            assert_eq!(read(&headers).unwrap_err(), HeadError::Field(name));
        }
        for name in [SERVICE, FUNCTION, SIGNATURE, LEFT, DEPTH, TRACE, IDENTITY, STICKY] {
            for wrong in [" ", "-1", "99999999999999999999", "%", "AAAA"] {
                let mut headers = whole.clone();
                headers.insert(&name, HeaderValue::from_static(wrong));
                assert_eq!(read(&headers).unwrap_err(), HeadError::Field(name.clone()), "{wrong}");
            }
            let mut headers = whole.clone();
            headers.append(&name, headers.get(&name).cloned().unwrap_or(HeaderValue::from_static("0")));
            headers.append(&name, HeaderValue::from_static("0"));
            assert!(read(&headers).is_err(), "two of {name}");
        }
        for unknown in ["0", "3", "x"] {
            whole.insert(PROTOCOL, HeaderValue::from_static(unknown));
            assert_eq!(read(&whole).unwrap_err(), HeadError::Version(unknown.into(), Protocol::NEWEST));
        }
        let mut newer = HeaderMap::new();
        let called = Some((&function.0, function.1));
        CallHead::write((&service, called), &context(now), (now, Protocol::NEWEST), &mut newer);
        assert!(read(&newer).is_ok());
        let error = CallHead::read(&newer, (now, Protocol::OLDEST)).unwrap_err();
        assert_eq!(error, HeadError::Version("2".into(), Protocol::OLDEST));
        assert!(error.to_string().ends_with("and this one version 1 to 1"), "{error}");
        for wrong in ["", "1", "1 2", "1 2 ", "-1 2 r", "1 x r", " 1 2 r", "1  2 r"] {
            newer.insert(CALL, HeaderValue::from_static(wrong));
            assert_eq!(read(&newer).unwrap_err(), HeadError::Field(CALL), "{wrong}");
        }
    }

    #[test]
    fn a_deadline_far_away_stays_within_the_bound() {
        let now = Instant::now();
        let far = CallContext::new(RequestId::from_random(1), now, Duration::from_secs(1 << 40));
        let mut headers = HeaderMap::new();
        CallHead::write((&ServiceName::new("a").unwrap(), None), &far, (now, Protocol::OLDEST), &mut headers);
        let head = CallHead::read(&headers, (now, Protocol::NEWEST)).unwrap();
        assert_eq!(head.context.deadline, now + Duration::from_micros(LONGEST));
        // And one that has passed leaves nothing.
        CallHead::write(
            (&ServiceName::new("a").unwrap(), None),
            &context(now),
            (now + Duration::from_secs(9), Protocol::OLDEST),
            &mut headers,
        );
        assert_eq!(CallHead::read(&headers, (now, Protocol::NEWEST)).unwrap().context.deadline, now);
    }

    proptest! {
        #[test]
        fn whatever_the_fields_hold_nothing_panics(
            values in proptest::collection::vec("[ -~]{0,12}", 11),
            version in 1..3_u16,
        ) {
            let called = [CALL, SERVICE, FUNCTION, SIGNATURE, LEFT, DEPTH, REQUEST];
            let names = called.into_iter().chain([TRACE, IDENTITY, STICKY, ORIGINAL_HOST]);
            let mut request = Request::new(());
            request.headers_mut().insert(PROTOCOL, HeaderValue::from(version));
            for (name, text) in names.zip(values) {
                request.headers_mut().insert(name, HeaderValue::try_from(text).unwrap());
            }
            let _ = CallHead::take(&mut request, (Instant::now(), Protocol::NEWEST));
        }
    }
}
