//! `atoll cluster`: the certificates by which the nodes of a cluster know each other.

use crate::app::{NodeFiles, certify_node, init_cluster};
use crate::membership::NodeName;
use clap::Subcommand;
use std::path::PathBuf;

/// The verbs for a cluster's certificates. They need no running host.
#[derive(Debug, Subcommand)]
pub(super) enum ClusterVerb {
    /// Make the authority that signs the nodes' certificates
    ///
    /// Do this once, on a machine that people trust: whoever has `authority.key` can add a
    /// node. The nodes need `authority.pem` alone. If you have an authority of your own, let
    /// that sign the certificates, each for the name of its node.
    #[command(verbatim_doc_comment)]
    Init {
        /// The folder of its files; it is made if there is none
        folder: PathBuf,
    },

    /// Make the certificate of a node, or renew it
    ///
    /// It is for the node's name, for calling and for being called, and lasts a year. A host
    /// takes a new one without a restart.
    #[command(verbatim_doc_comment)]
    Certificate {
        /// The node's name: `node` of `[cluster]`
        #[arg(value_parser = NodeName::new)]
        node: NodeName,
        /// The folder in which `atoll cluster init` made the authority
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        folder: PathBuf,
    },
}

/// Executes a verb, and returns its output.
///
/// # Errors
/// Why the files cannot be made.
pub(super) fn execute(verb: &ClusterVerb) -> anyhow::Result<String> {
    match verb {
        ClusterVerb::Init { folder } => {
            let authority = init_cluster(folder)?;
            let (authority, folder) = (authority.display(), folder.display());
            Ok(format!("{authority} is made; next, for each node: atoll cluster certificate NODE --folder {folder}\n"))
        }
        ClusterVerb::Certificate { node, folder } => {
            let NodeFiles { authority, certificate, key } = certify_node(folder, node.as_str())?;
            let [authority, certificate, key] = [authority, certificate, key].map(|path| format!("{path:?}"));
            Ok(format!(
                "for the manifest of {node}:\n[cluster]\nnode = \"{node}\"\nauthority = {authority}\ncertificate = \
                 {certificate}\nkey = {key}\n"
            ))
        }
    }
}
