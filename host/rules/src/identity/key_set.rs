//! The keys that prove tokens: a JWK set (RFC 7517), or one shared secret.

use super::algorithm::{KeyFamily, TokenAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// The most keys of a set. Issuers have two to ten.
const MOST: usize = 128;
/// The length of an RSA key in bytes: ring takes 2,048 to 8,192 bits.
const RSA: std::ops::RangeInclusive<usize> = 256..=1024;

/// The keys of one issuer.
#[derive(Debug)]
pub struct KeySet(Vec<TokenKey>);

/// A secret that an issuer shares, for the algorithms HS256 to HS512. It does not print.
#[derive(Clone)]
pub struct TokenSecret(Vec<u8>);

/// Why there is no [`KeySet`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is no JSON object with a list `keys`.
    #[error("it is no JWK set: {0}")]
    NotASet(String),
    /// None of its keys can be used.
    #[error("none of its {0} keys is a public key of a kind that is known here, and for signatures")]
    NoKey(usize),
    /// It has more keys than any issuer.
    #[error("it has more than {MOST} keys")]
    TooMany,
}

#[derive(Debug)]
pub(super) struct TokenKey {
    id: Option<String>,
    /// The one algorithm that it may be used with, if it says one.
    algorithm: Option<TokenAlgorithm>,
    material: KeyMaterial,
}

enum KeyMaterial {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
    Secret(TokenSecret),
}

/// Why a set has no key for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyMiss {
    /// It does not have the key. A newer set may have it.
    Unknown,
    /// Its key of this id is for another algorithm.
    OtherAlgorithm,
    /// Several of its keys fit.
    Ambiguous,
}

/// One key, as the set has it. Members that are not here are ignored, as RFC 7517 demands.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads the text of a JWK set. Keys of unknown kinds, keys that are not for signatures, weak keys and secrets are
    /// passed over: an issuer may publish them for others (RFC 7517, section 5). A set is public, so a secret in it
    /// proves nothing.
    ///
    /// # Errors
    /// It is no set, or it has no key that can be used.
    pub fn of_jwks(text: &[u8]) -> Result<Self, KeySetError> {
        let set: Jwks = serde_json::from_slice(text).map_err(|error| KeySetError::NotASet(error.to_string()))?;
        if set.keys.len() > MOST {
            return Err(KeySetError::TooMany);
        }
        let all = set.keys.len();
        let keys: Vec<_> = set.keys.into_iter().filter_map(TokenKey::of_jwk).collect();
        if keys.is_empty() { Err(KeySetError::NoKey(all)) } else { Ok(Self(keys)) }
    }

    /// The set of one shared secret.
    pub fn of_secret(secret: TokenSecret) -> Self {
        Self(vec![TokenKey { id: None, algorithm: None, material: KeyMaterial::Secret(secret) }])
    }

    /// Whether a token with this `alg` can be proved by one of the keys.
    pub fn has_key_for(&self, algorithm: TokenAlgorithm) -> bool {
        self.0.iter().any(|key| key.fits(algorithm))
    }

    /// The one key for a token with this `kid` and `alg`.
    pub(super) fn find(&self, id: Option<&str>, algorithm: TokenAlgorithm) -> Result<&TokenKey, KeyMiss> {
        // A secret has no id of its own, whatever its issuer writes into the token.
        let named = |key: &&TokenKey| match (&key.material, id) {
            (KeyMaterial::Secret(_), _) | (_, None) => true,
            (_, Some(id)) => key.id.as_deref() == Some(id),
        };
        let mut fitting = self.0.iter().filter(named).filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(KeyMiss::Ambiguous),
            (None, _) if id.is_some() && self.0.iter().any(|key| named(&key)) => Err(KeyMiss::OtherAlgorithm),
            (None, _) => Err(KeyMiss::Unknown),
        }
    }
}

impl TokenKey {
    fn of_jwk(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == "verify"));
        let decode = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let point = |length: usize| {
            let (x, y) = (decode(&jwk.x)?, decode(&jwk.y)?);
            // RFC 7518, section 6.2.1.2: both have their full length.
            (x.len() == length && y.len() == length).then(|| [&[4], &x[..], &y[..]].concat())
        };
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                // Some issuers write a leading zero, as DER does.
                let number = |text| Some(decode(text)?.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<_>>());
                let (n, e) = (number(&jwk.n)?, number(&jwk.e)?);
                RSA.contains(&n.len()).then_some(KeyMaterial::Rsa { n, e })?
            }
            ("EC", Some("P-256")) => KeyMaterial::P256(point(32)?),
            ("EC", Some("P-384")) => KeyMaterial::P384(point(48)?),
            ("OKP", Some("Ed25519")) => KeyMaterial::Ed25519(decode(&jwk.x).filter(|x| x.len() == 32)?),
            _ => return None,
        };
        // A key for an algorithm that is not known here, such as RSA-OAEP, is for no other one.
        let algorithm = match &jwk.alg {
            Some(name) => Some(TokenAlgorithm::of_name(name)?),
            None => None,
        };
        let key = Self { id: jwk.kid, algorithm, material };
        (for_signatures && key.algorithm.is_none_or(|own| own.family() == key.family())).then_some(key)
    }

    fn family(&self) -> KeyFamily {
        match self.material {
            KeyMaterial::Rsa { .. } => KeyFamily::Rsa,
            KeyMaterial::P256(_) => KeyFamily::P256,
            KeyMaterial::P384(_) => KeyFamily::P384,
            KeyMaterial::Ed25519(_) => KeyFamily::Ed25519,
            KeyMaterial::Secret(_) => KeyFamily::Secret,
        }
    }

    fn fits(&self, algorithm: TokenAlgorithm) -> bool {
        self.family() == algorithm.family() && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// Whether `signature` is this key's, over `signed`.
    pub(super) fn proves(&self, algorithm: TokenAlgorithm, signed: &[u8], signature: &[u8]) -> bool {
        let by = |curve: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(curve, key).verify(signed, signature).is_ok()
        };
        match &self.material {
            KeyMaterial::Rsa { n, e } => algorithm
                .rsa()
                .is_some_and(|rsa| RsaPublicKeyComponents { n, e }.verify(rsa, signed, signature).is_ok()),
            KeyMaterial::P256(point) => by(&signature::ECDSA_P256_SHA256_FIXED, point),
            KeyMaterial::P384(point) => by(&signature::ECDSA_P384_SHA384_FIXED, point),
            KeyMaterial::Ed25519(key) => by(&signature::ED25519, key),
            // ring compares in constant time, and only whole tags.
            KeyMaterial::Secret(TokenSecret(secret)) => algorithm
                .hmac()
                .is_some_and(|hmac| hmac::verify(&hmac::Key::new(hmac, secret), signed, signature).is_ok()),
        }
    }
}

impl TokenSecret {
    /// A secret of these bytes. Whether it is long enough says [`TokenAlgorithm::least_secret`].
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    /// Its length in bytes.
    pub fn length(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaterial(…)")
    }
}
