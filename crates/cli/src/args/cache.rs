//! The arguments of `cache`.

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  convlens cache                                   list what is cached
  convlens cache --json
  convlens cache --clear

The cache keeps trained tokenizers and encoded texts, so that the next run on the same data starts \
at once. It may be emptied at any time. When it exceeds its limit, the least recently used entries \
are removed.

Environment:
  CONVLENS_CACHE       its folder [default: convlens in the user's cache folder]
  CONVLENS_CACHE_GIB   its limit in GiB; 0 keeps nothing [default: 10]")]
pub struct CacheArgs {
    /// Remove every entry
    #[arg(long)]
    pub clear: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
