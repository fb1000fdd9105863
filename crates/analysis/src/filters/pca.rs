//! Principal components (Pearson 1901) of the embeddings, with the filter vectors in the same plane. Ben
//! Bolte's post on convolutional sentiment models has this picture (code:
//! codekansas/language_conv_visualizations).

use burn::tensor::{Device, Tensor, TensorData};
use nalgebra::{DMatrix, SymmetricEigen};
use serde::Serialize;

use crate::FilterVectors;

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
        let (mean, covariance) = mean_and_covariance(points, dimensions);
        let total = covariance.trace();
        let Eigen { values, vectors } =
            if dimensions > MANY_DIMENSIONS { Eigen::first(covariance, count) } else { Eigen::all(covariance) };
        let mut order: Vec<usize> = (0..vectors.ncols()).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let effective_rank = effective_rank(&values);
        order.truncate(count);
        let component = |&index: &usize| {
            let vector = vectors.column(index);
            let largest = vector[vector.iamax()];
            vector.iter().map(|value| value * largest.signum()).collect()
        };
        let variance: Vec<f64> = order.iter().map(|&index| values[index].max(0.0)).collect();
        Self {
            mean,
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

/// The number of dimensions above which only the first eigenvectors are computed. All of them take minutes for the
/// thousands of dimensions of filters over one-hot words.
const MANY_DIMENSIONS: usize = 512;
/// The number of points whose products are added up at a time.
const POINTS: usize = 4_096;

/// The mean of points, and their covariance with divisor n − 1. Differences from the mean are multiplied as 32-bit
/// numbers, and the sums of every 4,096 products are added up as 64-bit numbers.
fn mean_and_covariance(points: &[f32], dimensions: usize) -> (Vec<f64>, DMatrix<f64>) {
    let rows = points.len() / dimensions;
    let mut mean = vec![0.0; dimensions];
    for point in points.chunks_exact(dimensions) {
        mean.iter_mut().zip(point).for_each(|(mean, &value)| *mean += f64::from(value) / rows as f64);
    }
    let mut sums = DMatrix::zeros(dimensions, dimensions);
    for points in points.chunks(POINTS * dimensions) {
        let centered: Vec<f32> = points
            .chunks_exact(dimensions)
            .flat_map(|point| point.iter().zip(&mean).map(|(&value, mean)| (f64::from(value) - mean) as f32))
            .collect();
        let count = centered.len() / dimensions;
        let centered = Tensor::<2>::from_data(TensorData::new(centered, [count, dimensions]), &Device::flex());
        let products = centered.clone().swap_dims(0, 1).matmul(centered).into_data();
        sums.iter_mut().zip(products.iter::<f64>()).for_each(|(sum, product)| *sum += product);
    }
    (mean, sums / rows.saturating_sub(1).max(1) as f64)
}

/// Eigenvalues, and the eigenvectors of some of them as columns, in the same order.
struct Eigen {
    values: Vec<f64>,
    vectors: DMatrix<f64>,
}

impl Eigen {
    fn all(matrix: DMatrix<f64>) -> Self {
        let eigen = SymmetricEigen::new(matrix);
        Self { values: eigen.eigenvalues.as_slice().to_vec(), vectors: eigen.eigenvectors }
    }

    /// All eigenvalues, the largest first, and the eigenvectors of the first `count`, by subspace iteration (Golub and
    /// Van Loan, *Matrix Computations*, 4th edition, section 8.2.4) with a few vectors more.
    fn first(matrix: DMatrix<f64>, count: usize) -> Self {
        const MORE: usize = 8;
        const ITERATIONS: usize = 200;
        let size = matrix.nrows();
        let width = (count + MORE).min(size);
        // Any start will do that is not orthogonal to the eigenvectors.
        let start = DMatrix::from_fn(size, width, |row, column| ((row * (column + 3)) as f64).sin() + 0.01);
        let mut basis = start.qr().q();
        for _ in 0..ITERATIONS {
            basis = (&matrix * basis).qr().q();
        }
        // The eigenvectors within the subspace (Rayleigh and Ritz).
        let within = SymmetricEigen::new(basis.tr_mul(&(&matrix * &basis)));
        let mut order: Vec<usize> = (0..width).collect();
        order.sort_by(|&a, &b| within.eigenvalues[b].total_cmp(&within.eigenvalues[a]));
        let columns: Vec<_> = order.iter().take(count).map(|&at| within.eigenvectors.column(at)).collect();
        let vectors = basis * DMatrix::from_columns(&columns);
        let mut values: Vec<f64> = matrix.symmetric_eigenvalues().as_slice().to_vec();
        values.sort_by(|a, b| b.total_cmp(a));
        Self { values, vectors }
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
    fn the_first_eigenvectors_are_those_of_all() {
        let points: Vec<f32> = (0..40 * 12).map(|at| ((at * at) as f32 * 0.37).sin() * (1 + at % 12) as f32).collect();
        let (_, covariance) = mean_and_covariance(&points, 12);
        let (all, first) = (Eigen::all(covariance.clone()), Eigen::first(covariance, 2));
        let mut order: Vec<usize> = (0..12).collect();
        order.sort_by(|&a, &b| all.values[b].total_cmp(&all.values[a]));
        for (place, &at) in order.iter().enumerate() {
            assert!((all.values[at] - first.values[place]).abs() < 1e-9);
        }
        assert_eq!(first.vectors.ncols(), 2);
        for (place, &at) in order.iter().take(2).enumerate() {
            let cosine = first.vectors.column(place).dot(&all.vectors.column(at)).abs();
            assert!((cosine - 1.0).abs() < 1e-9, "{cosine}");
        }
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
