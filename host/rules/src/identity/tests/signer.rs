//! Issues tokens with any header, any claims and any key.

use crate::identity::{KeySet, TokenAlgorithm, TokenSecret};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use ring::{hmac, rsa};
use serde_json::{Value, json};

/// A key that signs.
pub(super) enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    /// ring makes no RSA keys, so there is one in a file, for tests alone.
    pub(super) fn rsa() -> Self {
        let pem: String = include_str!("rsa_key.pem").lines().filter(|line| !line.starts_with('-')).collect();
        Self::Rsa(RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap())
    }

    pub(super) fn p256() -> Self {
        let (kind, random) = (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let key = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self::P256(EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).unwrap())
    }

    pub(super) fn p384() -> Self {
        let (kind, random) = (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, SystemRandom::new());
        let key = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self::P384(EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).unwrap())
    }

    pub(super) fn ed25519() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
    }

    /// Its public part as a JWK, without the members that are chosen.
    pub(super) fn jwk(&self) -> Value {
        let point = |curve: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
        };
        match self {
            Self::Rsa(key) => {
                let PublicKeyComponents::<Vec<u8>> { n, e } = rsa::PublicKeyComponents::from(key.public());
                json!({ "kty": "RSA", "n": encode(n), "e": encode(e) })
            }
            Self::P256(key) => point("P-256", key.public_key().as_ref()),
            Self::P384(key) => point("P-384", key.public_key().as_ref()),
            Self::Ed25519(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key()) }),
            Self::Secret(secret) => json!({ "kty": "oct", "k": encode(secret) }),
        }
    }

    /// The set that proves its tokens.
    pub(super) fn keys(&self) -> KeySet {
        match self {
            Self::Secret(secret) => KeySet::of_secret(TokenSecret::new(secret.clone())),
            _ => set(&[self.jwk()]).unwrap(),
        }
    }

    pub(super) fn sign(&self, algorithm: TokenAlgorithm, text: &[u8]) -> Vec<u8> {
        use TokenAlgorithm as A;
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let kind: &dyn signature::RsaEncoding = match algorithm {
                    A::Rs384 => &signature::RSA_PKCS1_SHA384,
                    A::Rs512 => &signature::RSA_PKCS1_SHA512,
                    A::Ps256 => &signature::RSA_PSS_SHA256,
                    A::Ps384 => &signature::RSA_PSS_SHA384,
                    A::Ps512 => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(kind, &random, text, &mut signature).unwrap();
                signature
            }
            Self::P256(key) | Self::P384(key) => key.sign(&random, text).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(text).as_ref().to_vec(),
            Self::Secret(secret) => {
                let kind = match algorithm {
                    A::Hs384 => hmac::HMAC_SHA384,
                    A::Hs512 => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(kind, secret), text).as_ref().to_vec()
            }
        }
    }

    /// A token with this header and these claims, as they are, signed by the algorithm.
    pub(super) fn token(&self, algorithm: TokenAlgorithm, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = encode(self.sign(algorithm, signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// The set of these JWKs.
pub(super) fn set(keys: &[Value]) -> Result<KeySet, crate::identity::KeySetError> {
    KeySet::of_jwks(json!({ "keys": keys }).to_string().as_bytes())
}
