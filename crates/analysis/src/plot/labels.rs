//! Places labels beside their points without overlaps. (No crate does this for plotters.)

/// The box of a label: left, top, right, bottom, in pixels.
pub(super) type Place = [i32; 4];

/// The directions and distances at which a label can be placed.
const DIRECTIONS: [(f64, f64); 8] =
    [(1.0, 0.0), (-1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (0.8, -0.8), (-0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)];
const DISTANCES: [f64; 6] = [6.0, 16.0, 28.0, 42.0, 58.0, 76.0];
/// A label that is farther from its point than this needs a line to it.
const BESIDE: i32 = 10;
/// The space between two labels.
const GAP: i32 = 2;

/// Finds a place for each label, as close to its point as possible, within `frame` and outside the boxes in
/// `taken`. Earlier labels have priority, and a label without room gets `None`.
///
/// Points and sizes are in pixels.
pub(super) fn place(
    points: &[(i32, i32)],
    sizes: &[(i32, i32)],
    mut taken: Vec<Place>,
    frame: Place,
) -> Vec<Option<Place>> {
    let choose = |(&(x, y), &size): (&(i32, i32), &(i32, i32))| {
        let around =
            DISTANCES.iter().flat_map(|distance| DIRECTIONS.iter().map(move |direction| (distance, direction)));
        let mut boxes = around.map(|(distance, direction)| beside(x, y, size, *distance, *direction));
        let free = boxes.find(|place| is_inside(place, &frame) && !taken.iter().any(|other| overlap(place, other)))?;
        taken.push(free);
        Some(free)
    };
    points.iter().zip(sizes).map(choose).collect()
}

/// The line from a point to its label, if the label is not right beside it.
pub(super) fn leader(point: (i32, i32), [left, top, right, bottom]: Place) -> Option<[(i32, i32); 2]> {
    let nearest = (point.0.clamp(left, right), point.1.clamp(top, bottom));
    let is_far = (nearest.0 - point.0).abs().max((nearest.1 - point.1).abs()) > BESIDE;
    is_far.then_some([point, nearest])
}

/// The box whose nearest edge or corner is at this distance from a point.
fn beside(x: i32, y: i32, (width, height): (i32, i32), distance: f64, (right, down): (f64, f64)) -> Place {
    let start = |at: i32, size: i32, direction: f64| {
        let shift = (direction * distance).round() as i32;
        match direction {
            0.0 => at - size / 2,
            direction if direction > 0.0 => at + shift,
            _ => at + shift - size,
        }
    };
    let (left, top) = (start(x, width, right), start(y, height, down));
    [left, top, left + width, top + height]
}

fn overlap(a: &Place, b: &Place) -> bool {
    a[0] < b[2] + GAP && b[0] < a[2] + GAP && a[1] < b[3] + GAP && b[1] < a[3] + GAP
}

fn is_inside(place: &Place, frame: &Place) -> bool {
    place[0] >= frame[0] && place[1] >= frame[1] && place[2] <= frame[2] && place[3] <= frame[3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn labels_neither_overlap_nor_leave_the_frame(
            labels in prop::collection::vec(((0i32..300, 0i32..200), (5i32..60, 8i32..16)), 0..60)
        ) {
            let (points, sizes): (Vec<_>, Vec<_>) = labels.into_iter().unzip();
            let frame = [0, 0, 300, 200];
            let places = place(&points, &sizes, vec![[0, 0, 20, 20]], frame);
            let placed: Vec<_> = places.iter().flatten().collect();
            for (index, a) in placed.iter().enumerate() {
                prop_assert!(is_inside(a, &frame));
                prop_assert!(!placed[index + 1..].iter().any(|b| overlap(a, b)));
            }
            prop_assert!(!placed.iter().any(|place| overlap(place, &[0, 0, 20, 20])));
            prop_assert!(points.is_empty() || places[0].is_some());
        }
    }
}
