//! The arguments of `web`.

use std::path::PathBuf;

use clap::Args;
use convlens_run::Precision;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cargo xtask web                                  build the page for the newest run and serve it
  cargo xtask web --run runs/seed --out site --no-serve
  cargo xtask web --run runs/best --precision int8

`cargo xtask web`, in the repository, builds the page and passes it as --page. The folder is static: \
any host can serve it, from any path. A linear model is sent as the table that it folds into, which gives \
the same scores, and its layers separately; in any other model the embeddings are the largest part, and \
--precision chooses how they are sent.

The page contains no path of this machine, and no text of your own files unless you pass --example or \
--publish-texts. It always shows the words of the vocabulary and the labels.

If the folder holds a page already, only files that `convlens web` wrote, and that are unchanged since, \
are replaced or removed; they are listed in page-files.json.")]
pub struct WebArgs {
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// The folder to write: new, empty, or one that `convlens web` wrote [default: RUN/web]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write the folder and do not serve it
    #[arg(long)]
    pub no_serve: bool,
    /// The port of 127.0.0.1 to serve on; 0 chooses one that is free
    #[arg(long, value_name = "N", default_value_t = 8017, conflicts_with = "no_serve")]
    pub port: u16,
    /// How the embeddings are sent: f32, f16, int8 or int6 [default: f32; int6 for a model with a lexicon, and for
    /// the layers of a folded model, which do not affect the scores]
    #[arg(long, value_name = "P")]
    pub precision: Option<Precision>,
    /// A text to start from; may be repeated [default: three about films if the run was trained on
    /// a known data set, three sentences if it tags, none otherwise]
    #[arg(long, value_name = "TEXT")]
    pub example: Vec<String>,
    /// Start from two texts of the test split, which publishes them: the shortest one, and the shortest one with
    /// another label; if the run tags, the two shortest sentences of more than four words
    #[arg(long, conflicts_with = "example")]
    pub publish_texts: bool,
    /// The page and its modules, as `cargo xtask web` builds them
    #[arg(long, value_name = "DIR")]
    pub page: Option<PathBuf>,
    /// Check the run and the folder, and write nothing; used before the page is built
    #[arg(long, hide = true)]
    pub check: bool,
}
