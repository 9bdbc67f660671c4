//! `logmill bench floor`: serve one, or load one.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::load::Load;
use super::process::LISTENING;
use super::serve::{Settings, serve};

/// What to do with a floor.
#[derive(Debug, clap::Subcommand)]
pub enum FloorCommand {
    /// Serves until it is killed; the first line printed says where.
    Serve {
        /// Address to listen on; port 0 is any free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// What it runs with.
        #[command(flatten)]
        settings: Settings,
    },
    /// Loads one that is running and prints what it took.
    Load(Load),
}

impl FloorCommand {
    /// Does it.
    pub fn run(&self) -> io::Result<()> {
        match self {
            FloorCommand::Serve { listen, settings } => {
                let listener = TcpListener::bind(listen)?;
                println!("{LISTENING}{}", listener.local_addr()?);
                serve(&listener, settings)
            }
            FloorCommand::Load(load) => {
                let report = load.run()?;
                println!(
                    "{:.0} MB/s: {:.3} GB in {} frames, {:.2} s, {:.2} CPU s/GB of the load",
                    report.mb_per_s(),
                    report.bytes as f64 / 1e9,
                    report.frames,
                    report.elapsed.as_secs_f64(),
                    report.cpu_s_per_gb()
                );
                Ok(())
            }
        }
    }
}
