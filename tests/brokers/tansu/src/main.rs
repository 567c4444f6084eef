//! Tansu with its data in a file: a server of the Kafka protocol that a test kills and starts again.

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tansu_cli::Cli::main().await?;
    Ok(())
}
