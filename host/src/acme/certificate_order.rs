//! One order: the account, the proofs of the names, the request, and the certificate.

use super::acme_error::{AcmeError, told};
use super::acme_files::{AcmeFiles, StoredAccount, life};
use super::directory_client::DirectoryClient;
use super::settings::{AcmeChallengeKind, ExternalAccount, Settings};
use crate::listen::{AcmeChallenges, OfferedProof};
use instant_acme::{
    Account, AuthorizationState, AuthorizationStatus, CertificateIdentifier, ChallengeHandle, ChallengeType,
    ExternalAccountKey, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::Duration;

/// How long the authority may take to look at the names, and then to sign.
const PATIENCE: Duration = Duration::from_secs(120);
/// The problem of an order for a certificate that another order has replaced already (RFC 9773, section 5).
const ALREADY_REPLACED: &str = "urn:ietf:params:acme:error:alreadyReplaced";

/// A certificate with its chain, in PEM, and its key.
pub(super) struct IssuedCertificate {
    pub(super) chain: String,
    pub(super) key: KeyPair,
}

/// The account with the authority of `settings`: the one on the disk, or a new one, which is on the disk before
/// anything is ordered with it.
pub(super) async fn account(
    settings: &Settings,
    files: &AcmeFiles,
    client: &DirectoryClient,
) -> Result<Account, AcmeError> {
    let builder = Account::builder_with_http(Box::new(client.clone()));
    if let Some(credentials) = files.account(&settings.directory)? {
        return Ok(builder.from_credentials(credentials).await?);
    }
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let external = settings.external_account.as_ref();
    let external = external.map(|ExternalAccount { id, key }| ExternalAccountKey::new(id.clone(), key));
    let (account, credentials) = builder.create(&new, settings.directory.clone(), external.as_ref()).await?;
    files.write_account(&StoredAccount { directory: settings.directory.clone(), credentials })?;
    tracing::info!(directory = settings.directory, "an account was made with the authority");
    Ok(account)
}

/// Orders a certificate for the names of `settings`. `replaced`: the one that it takes the place of.
pub(super) async fn obtain(
    settings: &Settings,
    account: &Account,
    challenges: &Arc<AcmeChallenges>,
    replaced: Option<&CertificateDer<'_>>,
) -> Result<IssuedCertificate, AcmeError> {
    let identifiers: Vec<_> = settings.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = begin(settings, account, &identifiers, replaced).await?;
    // They are offered until the authority has looked at all of them.
    let proofs = prove(settings.challenge, &mut order, challenges).await?;
    if order.state().status == OrderStatus::Pending {
        let patience = RetryPolicy::new().timeout(PATIENCE);
        if order.poll_ready(&patience).await? != OrderStatus::Ready {
            return Err(unproved(settings.challenge, &mut order).await);
        }
    }
    drop(proofs);
    let wrong_key = |error: rcgen::Error| AcmeError::Key(error.to_string());
    let key = KeyPair::generate().map_err(wrong_key)?;
    let mut request = CertificateParams::new(settings.names.clone()).map_err(wrong_key)?;
    request.distinguished_name = DistinguishedName::new();
    let request = request.serialize_request(&key).map_err(wrong_key)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&RetryPolicy::new().timeout(PATIENCE)).await?;
    let issued = CertificateDer::from_pem_slice(chain.as_bytes());
    let issued = issued.map_err(|_| AcmeError::WrongCertificate("it is no certificate in PEM"))?;
    if life(&issued, &settings.names).is_none() {
        return Err(AcmeError::WrongCertificate("it is not for the names that were ordered"));
    }
    Ok(IssuedCertificate { chain, key })
}

/// Places the order. An authority that knows renewals learns which certificate is replaced, and counts the order under
/// no limit then (RFC 9773, section 5).
async fn begin(
    settings: &Settings,
    account: &Account,
    identifiers: &[Identifier],
    replaced: Option<&CertificateDer<'_>>,
) -> Result<Order, AcmeError> {
    let new = || {
        let new = NewOrder::new(identifiers);
        settings.profile.as_deref().map_or(NewOrder::new(identifiers), |profile| new.profile(profile))
    };
    let replaced = replaced.and_then(|certificate| CertificateIdentifier::try_from(certificate).ok());
    let Some(replaced) = replaced else { return Ok(account.new_order(&new()).await?) };
    match account.new_order(&new().replaces(replaced)).await {
        Ok(order) => Ok(order),
        // It knows no renewals, or the certificate was replaced by a host with the same account.
        Err(instant_acme::Error::Unsupported(_)) => Ok(account.new_order(&new()).await?),
        Err(instant_acme::Error::Api(problem)) if problem.r#type.as_deref() == Some(ALREADY_REPLACED) => {
            Ok(account.new_order(&new()).await?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Offers a proof for each name that is not proved yet, and asks the authority to look.
async fn prove(
    kind: AcmeChallengeKind,
    order: &mut Order,
    challenges: &Arc<AcmeChallenges>,
) -> Result<Vec<OfferedProof>, AcmeError> {
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let challenge = authorization.challenge(match kind {
            AcmeChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
            AcmeChallengeKind::Http01 => ChallengeType::Http01,
        });
        let Some(mut challenge) = challenge else {
            return Err(AcmeError::NoChallenge { name: told(&name), challenge: kind.name() });
        };
        proofs.push(offer(kind, &name, &challenge, challenges)?);
        challenge.set_ready().await?;
    }
    Ok(proofs)
}

fn offer(
    kind: AcmeChallengeKind,
    name: &str,
    challenge: &ChallengeHandle<'_>,
    challenges: &Arc<AcmeChallenges>,
) -> Result<OfferedProof, AcmeError> {
    let authorization = challenge.key_authorization();
    if kind == AcmeChallengeKind::Http01 {
        return Ok(challenges.offer_answer(&challenge.token, authorization.as_str()));
    }
    // The name, and what proves the account in an extension of its own (RFC 8737, section 3).
    let wrong_key = |error: rcgen::Error| AcmeError::Key(error.to_string());
    let key = KeyPair::generate().map_err(wrong_key)?;
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(wrong_key)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(authorization.digest().as_ref())];
    let certificate = params.self_signed(&key).map_err(wrong_key)?.der().clone();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    challenges.offer_certificate(name, certificate, key).map_err(|error| AcmeError::Key(error.to_string()))
}

/// Why an order has failed: the first name that was not proved, with the words of the authority.
async fn unproved(kind: AcmeChallengeKind, order: &mut Order) -> AcmeError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if state.status != AuthorizationStatus::Valid {
            let (name, why) = (told(&state.identifier().to_string()), reason(state));
            return AcmeError::Unproved { name, challenge: kind.name(), why };
        }
    }
    AcmeError::Authority("the order is invalid".into())
}

fn reason(state: &AuthorizationState) -> String {
    let problem = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
    problem.map_or_else(|| "no reason is given".into(), |problem| told(&problem.to_string()))
}
