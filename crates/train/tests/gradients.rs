//! Gradients through a stack, in a process of its own: all models of a process draw their weights from the
//! same random state, so other tests would change the figures.

use convlens_run::model::{Downsampling, EncoderConfig, LayerConfig, PlainStackConfig, ResidualBranch, ResidualConfig};
use convlens_run::text::TokenizerKind;
use convlens_run::{TextConfig, TokenizerSource};
use convlens_train::{Cache, Corpus, DepthGradients, depth_gradients};

#[test]
fn a_plain_stack_loses_the_gradient_in_training_and_residual_blocks_keep_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = TextConfig { tokenizer: TokenizerSource::Trained(TokenizerKind::Words), vocab_size: 200 };
    let sample = convlens_data::generate_sample(1);
    let corpus = Corpus::prepare(&sample, &text, 0.1, 0, &Cache::at(folder.path()), &|_| {}).expect("prepares");
    let layer = LayerConfig::default();
    let plain = PlainStackConfig { hidden: 8, layers: 24, downsampling: Downsampling::None, layer: layer.clone() };
    let residual = ResidualConfig { hidden: 8, blocks: 12, dilation_base: 1, branch: ResidualBranch::Tcn, layer };
    let [plain, residual] = [EncoderConfig::Plain(plain), EncoderConfig::Residual(residual)]
        .map(|encoder| depth_gradients(&encoder, 8, 24, &corpus, 40, 0, &|_| {}).expect("follows"));
    assert_eq!((plain.at_start.len(), residual.at_start.len(), plain.course.len()), (24, 24, 4));
    // The factor by which training reduces the share of the last layer's gradient that reaches
    // the first layer.
    let reaching = |norms: &[f64]| norms[0] / norms[23];
    let lost = |found: &DepthGradients| reaching(&found.at_start) / reaching(&found.trained);
    assert!(lost(&plain) > 5.0 && lost(&residual) < 3.0, "{plain:?} {residual:?}");
}
