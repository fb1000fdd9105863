//! Places labels beside their points, so that neither labels nor the lines to them overlap. (No crate does
//! this for plotters.)

/// The box of a label: left, top, right, bottom, in pixels.
pub(super) type Place = [i32; 4];

/// The line from a point to its label, in pixels.
type Line = [(i32, i32); 2];

/// The directions and distances at which a label can be placed.
const DIRECTIONS: [(f64, f64); 8] =
    [(1.0, 0.0), (-1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (0.8, -0.8), (-0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)];
const DISTANCES: [f64; 6] = [6.0, 16.0, 28.0, 42.0, 58.0, 76.0];
/// A label that is farther from its point than this needs a line to it.
const BESIDE: i32 = 10;
/// The space between two labels.
const GAP: i32 = 2;

/// Finds a place for each label, as close to its point as possible, within `frame` and outside the boxes in
/// `taken`. No line to a label crosses another label or line. Earlier labels have priority, and a label without
/// room gets `None`.
///
/// Points and sizes are in pixels.
pub(super) fn place(
    points: &[(i32, i32)],
    sizes: &[(i32, i32)],
    taken: Vec<Place>,
    frame: Place,
) -> Vec<Option<Place>> {
    let (mut placed, mut lines): (Vec<Place>, Vec<Line>) = (Vec::new(), Vec::new());
    let choose = |(&(x, y), &size): (&(i32, i32), &(i32, i32))| {
        let around =
            DISTANCES.iter().flat_map(|distance| DIRECTIONS.iter().map(move |direction| (distance, direction)));
        let mut boxes = around.map(|(distance, direction)| beside(x, y, size, *distance, *direction));
        let free = boxes.find(|place| {
            let line = leader((x, y), *place);
            is_inside(place, &frame)
                && !taken.iter().chain(&placed).any(|other| overlap(place, other))
                && !lines.iter().any(|other| enters(other, place))
                && !line.is_some_and(|line| placed.iter().any(|other| enters(&line, other)))
                && !line.is_some_and(|line| lines.iter().any(|other| cross(&line, other)))
        })?;
        placed.push(free);
        lines.extend(leader((x, y), free));
        Some(free)
    };
    points.iter().zip(sizes).map(choose).collect()
}

/// The line from a point to its label, if the label is not right beside it.
pub(super) fn leader(point: (i32, i32), [left, top, right, bottom]: Place) -> Option<Line> {
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

/// Whether a part of a line is in a box.
fn enters(line: &Line, &[left, top, right, bottom]: &Place) -> bool {
    let is_within = |&(x, y): &(i32, i32)| (left..=right).contains(&x) && (top..=bottom).contains(&y);
    let diagonals = [[(left, top), (right, bottom)], [(left, bottom), (right, top)]];
    line.iter().any(is_within) || diagonals.iter().any(|diagonal| cross(line, diagonal))
}

/// Whether two lines have a point in common.
fn cross(a: &Line, b: &Line) -> bool {
    // On which side of a line a point lies: the sign of a cross product.
    let side = |[from, to]: &Line, point: (i32, i32)| {
        let ([x, y], [px, py]) = ([to.0 - from.0, to.1 - from.1], [point.0 - from.0, point.1 - from.1]);
        (i64::from(x) * i64::from(py) - i64::from(y) * i64::from(px)).signum()
    };
    let apart = |line: &Line, other: &Line| side(line, other[0]) * side(line, other[1]) > 0;
    let disjoint = |of: fn(&(i32, i32)) -> i32| {
        let ends = |line: &Line| (of(&line[0]).min(of(&line[1])), of(&line[0]).max(of(&line[1])));
        let ((a_first, a_last), (b_first, b_last)) = (ends(a), ends(b));
        a_last < b_first || b_last < a_first
    };
    !apart(a, b) && !apart(b, a) && !disjoint(|point| point.0) && !disjoint(|point| point.1)
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
            let lines: Vec<_> =
                points.iter().zip(&places).map(|(point, place)| place.and_then(|place| leader(*point, place))).collect();
            for (a, line) in lines.iter().enumerate().filter_map(|(a, line)| Some((a, (*line)?))) {
                for b in (0..lines.len()).filter(|&b| b != a) {
                    prop_assert!(!places[b].is_some_and(|place| enters(&line, &place)));
                    prop_assert!(!lines[b].is_some_and(|other| cross(&line, &other)));
                }
            }
        }
    }

    #[test]
    fn lines_cross_where_they_have_a_point_in_common() {
        let line = [(0, 0), (10, 10)];
        assert!(cross(&line, &[(0, 10), (10, 0)]) && cross(&line, &[(10, 10), (20, 0)]));
        assert!(!cross(&line, &[(0, 1), (9, 10)]) && !cross(&line, &[(11, 11), (20, 20)]));
        assert!(enters(&line, &[4, 0, 6, 20]) && enters(&line, &[-5, -5, 20, 20]) && !enters(&line, &[6, 0, 9, 4]));
    }
}
