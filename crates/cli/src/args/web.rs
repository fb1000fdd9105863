//! What `web` takes.

use std::path::PathBuf;

use clap::Args;
use convlens_run::Precision;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask web                                  builds the page for the newest run and serves it
  cargo xtask web --run runs/seed --out site --no-serve
  cargo xtask web --run runs/best --precision int8

The folder is static: any host can serve it, from any path. A linear model is sent folded, exactly as
it scores, and its layers beside it; of any other the embeddings are what weighs most, and
--precision says in what they are sent.")]
pub struct WebArgs {
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// The folder to write [default: RUN/web]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write the folder and do not serve it
    #[arg(long)]
    pub no_serve: bool,
    /// The port of 127.0.0.1 to serve on; 0 is any that is free
    #[arg(long, value_name = "N", default_value_t = 8017)]
    pub port: u16,
    /// f32, f16, int8 or int6: how the embeddings are sent [default: f32; of a folded model's layers,
    /// which no score depends on, int6]
    #[arg(long, value_name = "P")]
    pub precision: Option<Precision>,
    /// A text to start from; may be given several times [default: three about films or, of a run on a file, texts of
    /// its test split]
    #[arg(long, value_name = "TEXT")]
    pub example: Vec<String>,
    /// The page and its modules, as `cargo xtask web` builds them
    #[arg(long, value_name = "DIR")]
    pub page: Option<PathBuf>,
    /// Look whether the run and the folder will do, and write nothing: asked before the page is built
    #[arg(long, hide = true)]
    pub check: bool,
}
