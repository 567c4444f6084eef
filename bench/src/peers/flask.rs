//! A gateway and a service behind it, both Flask under gunicorn: what a team begins with, and the article that Atoll grew from.

use super::{Held, Running, Yard};
use crate::process::{Process, free_address};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Workers of each of the two: twice the processors and one more, as gunicorn's documentation has it for two.
const WORKERS: &str = "5";

/// gunicorn, in the environment that `bench/peers/install.sh` makes.
pub(super) fn program(yard: &Yard) -> PathBuf {
    yard.tool("flask/bin/gunicorn")
}

/// Starts both.
///
/// # Errors
/// If one does not listen.
pub(super) async fn start(yard: &Yard, folder: &Path) -> anyhow::Result<Running> {
    let (service, gateway) = (free_address()?, free_address()?);
    let start = async |module: &str, address: &str| {
        let mut command = Command::new(program(yard));
        command.args(["--workers", WORKERS, "--bind", address, "--chdir"]).arg(yard.settings("flask")).arg(module);
        // Python would leave its compiled files in the checkout.
        command.env("SERVICE_URL", format!("http://{service}")).env("PYTHONDONTWRITEBYTECODE", "1");
        Process::listening(command, folder, address).await
    };
    let held = vec![
        Held::Process(start("service:app", &service).await?),
        Held::Process(start("gateway:app", &gateway).await?),
    ];
    Ok(Running { address: gateway, held })
}
