//! A gateway and a service behind it, both Flask under gunicorn: a typical first setup, and the one of the article
//! from which Atoll grew.

use super::{Held, PeerSetup, Running};
use crate::process::{Process, free_address};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Workers of each of the two: twice the processors plus one, which gunicorn's documentation recommends, here for
/// two.
const WORKERS: &str = "5";

/// gunicorn, in the environment that `bench/peers/install.sh` creates.
pub(super) fn program(setup: &PeerSetup) -> PathBuf {
    setup.tool("flask/bin/gunicorn")
}

/// Starts both.
///
/// # Errors
/// If one does not listen.
pub(super) async fn start(setup: &PeerSetup, folder: &Path) -> anyhow::Result<Running> {
    let (service, gateway) = (free_address()?, free_address()?);
    let start = async |module: &str, address: &str| {
        let mut command = Command::new(program(setup));
        command.args(["--workers", WORKERS, "--bind", address, "--chdir"]).arg(setup.settings("flask")).arg(module);
        // Otherwise Python would leave its compiled files in the checkout.
        command.env("SERVICE_URL", format!("http://{service}")).env("PYTHONDONTWRITEBYTECODE", "1");
        Process::listening(command, folder, address).await
    };
    let held = vec![
        Held::Process(start("service:app", &service).await?),
        Held::Process(start("gateway:app", &gateway).await?),
    ];
    Ok(Running { address: gateway, held })
}
