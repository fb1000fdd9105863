//! Principal components (Pearson 1901) of the embeddings, with the filter vectors in the same plane. Ben
//! Bolte's post on convolutional sentiment models has this picture (code:
//! codekansas/language_conv_visualizations).

use nalgebra::{DMatrix, SymmetricEigen};
use serde::Serialize;

use crate::receptive_fields::FilterVectors;

/// The principal components of some points.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pca {
    /// The mean of the points.
    pub mean: Vec<f64>,
    /// The directions of largest variance as unit vectors, the largest variance first.
    pub components: Vec<Vec<f64>>,
    /// The variance along each component, with divisor n − 1.
    pub explained_variance: Vec<f64>,
    /// The share of the total variance along each component.
    pub explained_variance_ratio: Vec<f64>,
    /// The effective rank of the points (Roy and Vetterli 2007): the exponential of the entropy of the shares of the
    /// variance along all components, from 1, if all points are on a line, to the number of dimensions.
    pub effective_rank: f64,
}

impl Pca {
    /// Computes the first `count` components of points, `[points, dimensions]`, as eigenvectors of their
    /// covariance. The sign of a component is arbitrary; here its coordinate of largest absolute value is
    /// positive.
    pub fn fit(points: &[f32], dimensions: usize, count: usize) -> Self {
        let rows = points.len() / dimensions;
        let points = DMatrix::from_row_iterator(rows, dimensions, points.iter().map(|&value| f64::from(value)));
        let mean = points.row_mean();
        let centered = DMatrix::from_fn(rows, dimensions, |row, column| points[(row, column)] - mean[column]);
        let covariance = centered.tr_mul(&centered) / rows.saturating_sub(1).max(1) as f64;
        let total = covariance.trace();
        let eigen = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..dimensions).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let effective_rank = effective_rank(eigen.eigenvalues.as_slice());
        order.truncate(count);
        let component = |&index: &usize| {
            let vector = eigen.eigenvectors.column(index);
            let largest = vector[vector.iamax()];
            vector.iter().map(|value| value * largest.signum()).collect()
        };
        let variance: Vec<f64> = order.iter().map(|&index| eigen.eigenvalues[index].max(0.0)).collect();
        Self {
            mean: mean.iter().copied().collect(),
            components: order.iter().map(component).collect(),
            explained_variance_ratio: variance
                .iter()
                .map(|value| if total > 0.0 { value / total } else { 0.0 })
                .collect(),
            explained_variance: variance,
            effective_rank,
        }
    }

    /// The coordinates of a point along the components.
    pub fn project(&self, point: &[f32]) -> Vec<f64> {
        let along = |component: &Vec<f64>| {
            let coordinates = component.iter().zip(point).zip(&self.mean);
            coordinates.map(|((direction, &value), mean)| direction * (f64::from(value) - mean)).sum()
        };
        self.components.iter().map(along).collect()
    }

    /// Changes the sign of a component.
    fn flip(&mut self, component: usize) {
        self.components[component].iter_mut().for_each(|value| *value = -*value);
    }
}

fn effective_rank(eigenvalues: &[f64]) -> f64 {
    let total: f64 = eigenvalues.iter().map(|value| value.max(0.0)).sum();
    let shares = eigenvalues.iter().map(|value| value / total).filter(|share| *share > 0.0);
    shares.map(|share| -share * share.ln()).sum::<f64>().exp()
}

/// One position of a filter as a point in the plane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilterPoint {
    /// The filter.
    pub filter: usize,
    /// The place relative to the centre of the filter.
    pub place: isize,
    /// The coordinates along the components.
    pub at: Vec<f64>,
    /// The weight of the filter in each logit; empty if there are other layers in between.
    pub head: Vec<f64>,
}

/// Words and filters in one plane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plane {
    /// The components of all embeddings.
    #[serde(flatten)]
    pub pca: Pca,
    /// The coordinates of each id along the components.
    pub words: Vec<Vec<f64>>,
    /// The positions of all filters.
    pub filters: Vec<FilterPoint>,
}

impl Plane {
    /// Computes the first two components of the embeddings, and projects the embeddings and the filter
    /// vectors. The first component points to the words of higher `sentiment`, one number per word.
    pub fn new(vectors: &FilterVectors, sentiment: &[f64]) -> Self {
        let mut pca = Pca::fit(&vectors.embeddings, vectors.dimensions, 2);
        let along_first: f64 =
            sentiment.iter().enumerate().map(|(id, sentiment)| sentiment * pca.project(vectors.embedding(id))[0]).sum();
        if along_first < 0.0 {
            pca.flip(0);
        }
        let filters = if vectors.are_vectors() { vectors.filters } else { 0 };
        let filters = (0..filters).flat_map(|filter| (0..vectors.kernel_size).map(move |place| (filter, place)));
        let point = |(filter, place)| FilterPoint {
            filter,
            place: vectors.offset(place),
            at: pca.project(vectors.vector(filter, place)),
            head: vectors.head(filter),
        };
        let filters = filters.map(point).collect();
        let words = (0..vectors.words()).map(|id| pca.project(vectors.embedding(id))).collect();
        Self { words, filters, pca }
    }

    /// The share of the filters' points whose coordinate along the first component has the sign of the
    /// filter's weight in the logit. If it is close to 1, the filters form two groups, one for each label.
    /// `None` for more than one logit.
    pub fn agreement(&self) -> Option<f64> {
        let agrees = |point: &FilterPoint| match point.head.as_slice() {
            [weight] => Some(weight * point.at.first()? > 0.0),
            _ => None,
        };
        let agree: Option<Vec<bool>> = self.filters.iter().map(agrees).collect();
        let agree = agree.filter(|agree| !agree.is_empty())?;
        Some(agree.iter().filter(|agrees| **agrees).count() as f64 / agree.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // from sklearn.decomposition import PCA   # scikit-learn 1.9.1
    // x = np.array([[np.sin((i+1)*(j+2)**2)*(j+1) for j in range(5)] for i in range(12)])
    // p = PCA(2).fit(x); p.components_, p.explained_variance_, p.explained_variance_ratio_
    // p.transform([[1, 2, 3, 4, 5.]])
    #[test]
    fn the_effective_rank_counts_directions() {
        assert!((effective_rank(&[2.0, 0.0, 0.0]) - 1.0).abs() < 1e-12);
        assert!((effective_rank(&[0.5, 0.5, 0.5, 0.5]) - 4.0).abs() < 1e-12);
        // scipy.stats.entropy([3, 1])  ->  0.5623351446188083
        assert!((effective_rank(&[3.0, 1.0, -1e-17]) - 0.562_335_144_618_808_3_f64.exp()).abs() < 1e-12);
    }

    #[test]
    fn components_match_scikit_learn() {
        let value = |row: i32, column: i32| {
            f64::from((row + 1) * (column + 2) * (column + 2)).sin() as f32 * (column + 1) as f32
        };
        let points: Vec<f32> = (0..12).flat_map(|row| (0..5).map(move |column| value(row, column))).collect();
        let pca = Pca::fit(&points, 5, 2);
        let components =
            [[0.02581, -0.032565, 0.049091, -0.019968, 0.99773], [-0.010547, -0.509647, 0.858203, 0.015463, -0.058278]];
        for (ours, theirs) in pca.components.iter().zip(components) {
            let sign = (ours[0] * theirs[0]).signum();
            assert!(ours.iter().zip(theirs).all(|(a, b)| (sign * a - b).abs() < 1e-4), "{ours:?}");
        }
        let close = |ours: &[f64], theirs: &[f64]| ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close(&pca.explained_variance, &[14.660425, 5.580544]), "{:?}", pca.explained_variance);
        assert!(close(&pca.explained_variance_ratio, &[0.621704, 0.236654]));
        let at: Vec<f64> = pca.project(&[1.0, 2.0, 3.0, 4.0, 5.0]).iter().map(|value| value.abs()).collect();
        assert!(close(&at, &[5.355523, 1.44797]), "{at:?}");
    }
}
