//! The builtin annotator against synthetic scenes with exact truth: labels must be right, masks
//! must overlap the truth by a stated share, and the same input must give the same bytes.

use super::builtin::{Builtin, BuiltinConfig, vocabulary, words};
use super::scenes::{HEIGHT, Scene, Thing, WIDTH, overlap, union};
use super::{
    AnnotateConfig, AnnotateStatistics, EmptyMask, Unchanged, annotate_session, session_key,
};
use crate::decode::Video;
use crate::sample::motion::Similarity;
use crate::sample::{
    Boundary, BoundaryKind, IntervalSampling, Link, SampleConfig, Sampled, sample, thumbnail,
};
use crate::session::{Frame, Session, Source, Transition};
use crate::{Image, Limits, Mask};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const RED: [u8; 3] = [215, 25, 30];
const BLUE: [u8; 3] = [25, 45, 210];
const WHITE: [u8; 3] = [245, 245, 245];

/// Annotates frames, with more samples of the scene as background where `samples` has some.
fn annotate_with(
    frames: Vec<Frame>,
    samples: &[Frame],
    link: Link,
    config: &AnnotateConfig,
) -> (Option<Session>, AnnotateStatistics) {
    let mut sampled = Sampled::from_frames(frames, 320).expect("the frames make a session");
    if !samples.is_empty() {
        let thumbnails = samples.iter().map(|f| Arc::new(thumbnail(&f.image, 320))).collect();
        sampled.backgrounds = vec![thumbnails];
    }
    let background = (!sampled.backgrounds.is_empty()).then_some(0);
    sampled.links = vec![Link { background, ..link }; sampled.links.len()];
    let mut annotator = Builtin::annotator(BuiltinConfig::default()).expect("the default is sound");
    let mut statistics = AnnotateStatistics::default();
    let source = Source { name: "scene".into(), ..Source::default() };
    let session =
        annotate_session(sampled, "scene", &source, &mut annotator, config, &mut statistics)
            .expect("annotation works");
    (session, statistics)
}

/// The one transition of a pair of scenes, with samples of both and of other moments.
fn transition(first: &Scene, second: &Scene, others: &[Scene]) -> Transition {
    let samples: Vec<Frame> =
        others.iter().zip(2u32..).map(|(scene, i)| scene.frame(f64::from(i))).collect();
    let frames = vec![first.frame(0.0), second.frame(1.0)];
    let (session, _) = annotate_with(frames, &samples, Link::default(), &AnnotateConfig::default());
    let mut session = session.expect("something changes");
    assert_eq!(session.transitions.len(), 1);
    session.transitions.remove(0)
}

fn event(transition: &Transition) -> &str {
    transition.facts["event"].as_str().expect("every record names its event")
}

fn share_of(mask: &Option<Mask>, truth: &Mask) -> f64 {
    overlap(mask.as_ref().expect("there is a mask"), truth)
}

fn is_full(mask: &Option<Mask>) -> bool {
    mask.as_ref().is_some_and(|mask| mask.data.iter().all(|&v| v == 255))
}

/// A disc that goes from place to place, as seen at other moments.
fn elsewhere(colour: [u8; 3]) -> Vec<Scene> {
    (0..8)
        .map(|i| Scene::new(&[Thing::disc(40.0 + 32.0 * i as f32, 150.0, 18.0, colour)]))
        .collect()
}

#[test]
fn a_moving_disc_is_told_and_both_places_are_marked() {
    let (from, to) = (Thing::disc(80.0, 90.0, 22.0, RED), Thing::disc(230.0, 80.0, 22.0, RED));
    let (first, second) = (Scene::new(&[from]), Scene::new(&[to]));
    let found = transition(&first, &second, &elsewhere(RED));
    assert_eq!(event(&found), "move");
    assert!(found.instruction.contains("red"), "{}", found.instruction);
    assert!(found.instruction.contains("to the right"), "{}", found.instruction);
    assert!(found.instruction.contains("on the left"), "{}", found.instruction);
    assert!(share_of(&found.current_mask, &from.mask()) > 0.85);
    assert!(share_of(&found.next_mask, &to.mask()) > 0.85);
    let shift = &found.facts["events"][0]["shift"];
    let close = |value: &serde_json::Value, truth: f64| {
        (value.as_f64().expect("a number") - truth).abs() < 0.01
    };
    assert!(close(&shift[0], 150.0 / WIDTH as f64), "{shift}");
    assert!(close(&shift[1], -10.0 / HEIGHT as f64), "{shift}");
}

#[test]
fn two_frames_alone_are_enough_where_outlines_are_clear() {
    let (from, to) = (Thing::disc(80.0, 90.0, 22.0, WHITE), Thing::disc(230.0, 80.0, 22.0, WHITE));
    let found = transition(&Scene::new(&[from]), &Scene::new(&[to]), &[]);
    assert_eq!(event(&found), "move");
    assert!(share_of(&found.current_mask, &from.mask()) > 0.85);
    assert!(share_of(&found.next_mask, &to.mask()) > 0.85);
}

#[test]
fn a_thing_that_stays_for_most_of_the_time_is_still_a_thing() {
    // Nine of ten samples show the disc, so it is the background; its outline tells otherwise.
    let disc = Thing::disc(160.0, 90.0, 25.0, RED);
    let with = Scene::new(&[disc]);
    let samples = vec![with.clone(); 9];
    let gone = transition(&with, &Scene::new(&[]), &samples);
    assert_eq!(event(&gone), "remove");
    assert!(share_of(&gone.current_mask, &disc.mask()) > 0.85);
    let come = transition(&Scene::new(&[]), &with, &samples);
    assert_eq!(event(&come), "add");
    assert!(share_of(&come.next_mask, &disc.mask()) > 0.85);
}

#[test]
fn an_appearing_square_is_added_and_a_vanishing_one_removed() {
    let square = Thing::square(250.0, 140.0, 20.0, BLUE);
    let (empty, full) = (Scene::new(&[]), Scene::new(&[square]));
    let found = transition(&empty, &full, &elsewhere(RED));
    assert_eq!(event(&found), "add");
    assert!(found.instruction.contains("blue"), "{}", found.instruction);
    assert!(found.instruction.contains("at the lower right"), "{}", found.instruction);
    assert!(share_of(&found.next_mask, &square.mask()) > 0.85);
    assert_eq!(found.facts["masks"]["current"], "borrowed");
    assert!(found.current_mask == found.next_mask, "where it will appear is to be edited");
    let found = transition(&full, &empty, &elsewhere(RED));
    assert_eq!(event(&found), "remove");
    assert!(share_of(&found.current_mask, &square.mask()) > 0.85);
}

#[test]
fn empty_masks_may_be_left_out() {
    let square = Scene::new(&[Thing::square(250.0, 140.0, 20.0, BLUE)]);
    let frames = vec![Scene::new(&[]).frame(0.0), square.frame(1.0)];
    let config = AnnotateConfig { empty_mask: EmptyMask::Omit, ..AnnotateConfig::default() };
    let (session, statistics) = annotate_with(frames, &[], Link::default(), &config);
    let session = session.expect("something changes");
    assert!(session.transitions[0].current_mask.is_none());
    assert!(session.transitions[0].next_mask.is_some());
    let fields: Vec<&str> =
        session.transitions[0].provenance.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["instruction", "next_mask"]);
    assert_eq!((statistics.masks, statistics.masks_empty, statistics.masks_borrowed), (1, 1, 0));
}

#[test]
fn a_change_of_colour_in_place_is_a_recolouring() {
    let before = Thing::square(160.0, 90.0, 25.0, RED);
    let after = Thing::square(160.0, 90.0, 25.0, BLUE);
    let found = transition(&Scene::new(&[before]), &Scene::new(&[after]), &elsewhere(RED));
    assert_eq!(event(&found), "recolor");
    assert!(found.instruction.contains("red") && found.instruction.contains("blue"));
    assert!(share_of(&found.current_mask, &before.mask()) > 0.85);
    assert!(share_of(&found.next_mask, &before.mask()) > 0.85);
}

#[test]
fn growing_and_shrinking_are_told() {
    let (small, large) = (Thing::disc(160.0, 90.0, 18.0, RED), Thing::disc(160.0, 90.0, 32.0, RED));
    let others = elsewhere(BLUE);
    let found = transition(&Scene::new(&[small]), &Scene::new(&[large]), &others);
    assert_eq!(event(&found), "grow", "{}", found.instruction);
    assert!(share_of(&found.next_mask, &large.mask()) > 0.8);
    let found = transition(&Scene::new(&[large]), &Scene::new(&[small]), &others);
    assert_eq!(event(&found), "shrink", "{}", found.instruction);
    assert!(share_of(&found.current_mask, &large.mask()) > 0.8);
}

#[test]
fn two_things_are_told_in_one_sentence() {
    let disc = Thing::disc(70.0, 60.0, 20.0, RED);
    let square = Thing::square(250.0, 120.0, 20.0, BLUE);
    let found = transition(&Scene::new(&[disc]), &Scene::new(&[square]), &elsewhere(WHITE));
    let instruction = &found.instruction;
    assert!(instruction.contains("red") && instruction.contains("blue"), "{instruction}");
    assert!(instruction.contains(", and "), "{instruction}");
    assert_eq!(found.facts["events"].as_array().map(Vec::len), Some(2));
    assert_eq!(found.facts["events_told"], 2);
}

#[test]
fn a_change_of_light_is_global_and_hides_nothing() {
    let dim = Scene { gain: 0.75, ..Scene::new(&[]) };
    let found = transition(&Scene::new(&[]), &dim, &[]);
    assert_eq!(event(&found), "light");
    let says_darker = ["arken", "darker", "im the"].iter().any(|w| found.instruction.contains(w));
    assert!(says_darker, "{}", found.instruction);
    assert!(is_full(&found.current_mask));
    let bright = Scene { offset: 30.0, ..Scene::new(&[]) };
    let found = transition(&Scene::new(&[]), &bright, &[]);
    assert_eq!(event(&found), "light");
    assert!(found.facts["light"]["brightness"].as_f64().expect("a number") > 25.0);
    // A disc is found through the change of light.
    let disc = Thing::disc(230.0, 60.0, 22.0, RED);
    let dim_with_disc = Scene { gain: 0.75, ..Scene::new(&[disc]) };
    let found = transition(&Scene::new(&[]), &dim_with_disc, &[]);
    assert_eq!(event(&found), "add");
    assert!(share_of(&found.next_mask, &disc.mask()) > 0.8);
    assert_eq!(found.facts["events"][1]["event"], "light");
}

#[test]
fn camera_motion_is_told_and_undone() {
    let moved = |camera: Similarity| Scene { camera, ..Scene::new(&[]) };
    let still = Scene::new(&[]);
    for (camera, words) in [
        (Similarity::translation(-0.15, 0.0), "to the right"),
        (Similarity::translation(0.12, 0.0), "to the left"),
        (Similarity::translation(0.0, 0.08), "up"),
        (Similarity::translation(0.0, -0.08), "down"),
    ] {
        let found = transition(&still, &moved(camera), &[]);
        assert_eq!(event(&found), "camera", "{camera:?}");
        assert!(found.instruction.contains(words), "{camera:?}: {}", found.instruction);
        assert!(is_full(&found.next_mask));
    }
    for (zoom, name) in [(1.15, "zoom in"), (0.85, "zoom out")] {
        let found = transition(&still, &moved(Similarity::scaling(zoom)), &[]);
        assert_eq!(event(&found), "camera");
        assert_eq!(found.facts["events"][0]["move"], name);
        let measured = &found.facts["camera"]["motion"]["zoom"];
        assert!((measured.as_f64().expect("a number") - f64::from(zoom)).abs() < 0.005);
    }
    let turn = Similarity { a: 0.9962, b: 0.0872, x: 0.0, y: 0.0 };
    let found = transition(&still, &moved(turn), &[]);
    assert_eq!(found.facts["events"][0]["move"], "turn clockwise");
}

#[test]
fn a_thing_that_moves_while_the_camera_pans_is_marked() {
    let before = Thing::disc(100.0, 90.0, 20.0, RED);
    let after = Thing::disc(180.0, 60.0, 20.0, RED);
    let pan = Scene { camera: Similarity::translation(-0.1, 0.0), ..Scene::new(&[after]) };
    let found = transition(&Scene::new(&[before]), &pan, &[]);
    assert_eq!(event(&found), "camera");
    assert_eq!(found.facts["camera"]["state"], "compensated");
    assert!(share_of(&found.current_mask, &before.mask()) > 0.8);
    assert!(share_of(&found.next_mask, &after.mask()) > 0.8);
}

#[test]
fn a_cut_is_global_whether_the_video_says_so_or_not() {
    let other = Scene { seed: 99, ..Scene::new(&[]) };
    let found = transition(&Scene::new(&[]), &other, &[]);
    assert_eq!(event(&found), "scene_change");
    assert!(is_full(&found.current_mask));
    let boundary = Boundary { kind: BoundaryKind::Cut, start: 1, end: 1, score: 0.9 };
    for (kind, word) in [
        (BoundaryKind::Cut, "Cut to"),
        (BoundaryKind::Dissolve, "Dissolve to"),
        (BoundaryKind::Fade, "Fade to"),
    ] {
        let link = Link { boundary: Some(Boundary { kind, ..boundary }), ..Link::default() };
        let frames = vec![Scene::new(&[]).frame(0.0), other.frame(1.0)];
        let (session, statistics) = annotate_with(frames, &[], link, &AnnotateConfig::default());
        let found = &session.expect("a cut is a change").transitions[0];
        assert_eq!(event(found), kind.name());
        assert!(found.instruction.starts_with(word), "{}", found.instruction);
        assert_eq!((statistics.global, statistics.events[kind.name()]), (1, 1));
    }
}

#[test]
fn noise_and_flicker_are_no_change() {
    let noisy = Scene { noise: 12.0, ..Scene::new(&[]) };
    let flicker = Scene { gain: 1.03, noise: 12.0, ..Scene::new(&[]) };
    let frames = || vec![noisy.frame(0.0), noisy.frame(1.0), flicker.frame(2.0), noisy.frame(3.0)];
    let (session, statistics) =
        annotate_with(frames(), &[], Link::default(), &AnnotateConfig::default());
    assert!(session.is_none());
    assert_eq!((statistics.pairs, statistics.dropped_frames), (3, 3));
    assert_eq!(statistics.dropped_sessions, 1);
    let keep = AnnotateConfig { unchanged: Unchanged::Keep, ..AnnotateConfig::default() };
    let (session, statistics) = annotate_with(frames(), &[], Link::default(), &keep);
    let session = session.expect("unchanged frames are kept");
    assert_eq!(session.frames.len(), 4);
    assert_eq!(statistics.events["unchanged"], 3);
    for transition in &session.transitions {
        assert!(transition.current_mask.is_none() && transition.next_mask.is_none());
        let is_kept = ["eep the picture", "eave the picture"];
        assert!(is_kept.iter().any(|w| transition.instruction.contains(w)));
    }
}

#[test]
fn a_frame_left_out_joins_the_pairs_around_it() {
    let (from, to) = (Thing::disc(80.0, 90.0, 22.0, RED), Thing::disc(230.0, 80.0, 22.0, RED));
    let (first, last) = (Scene::new(&[from]), Scene::new(&[to]));
    let frames = vec![first.frame(0.0), first.frame(1.0), first.frame(2.0), last.frame(3.0)];
    let (session, statistics) =
        annotate_with(frames, &[], Link::default(), &AnnotateConfig::default());
    let session = session.expect("the disc moves");
    let times: Vec<f64> = session.frames.iter().map(|f| f.time).collect();
    assert_eq!(times, [0.0, 3.0]);
    assert_eq!(event(&session.transitions[0]), "move");
    assert_eq!(statistics.dropped_frames, 2);
}

#[test]
fn a_mask_of_almost_everything_is_everything() {
    let before = Scene::new(&[]);
    let after = Scene::new(&[Thing::square(160.0, 90.0, 170.0, RED)]);
    let found = transition(&before, &after, &[]);
    assert!(is_full(&found.next_mask));
}

#[test]
fn the_same_input_gives_the_same_bytes_on_any_number_of_threads() {
    let work = || {
        let (from, to) = (Thing::disc(80.0, 90.0, 22.0, RED), Thing::disc(90.0, 80.0, 22.0, BLUE));
        let frames = vec![
            Scene::new(&[from]).frame(0.0),
            Scene::new(&[to]).frame(1.0),
            Scene { camera: Similarity::translation(0.1, 0.0), ..Scene::new(&[to]) }.frame(2.0),
        ];
        annotate_with(frames, &[], Link::default(), &AnnotateConfig::default())
    };
    let in_pool = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads can be started").install(work)
    };
    let first = work();
    assert!(first.0.is_some());
    // Frames are too long to print, so nothing here is compared by a macro that does.
    assert!(first == work());
    assert!(first == in_pool(1));
    assert!(first == in_pool(3));
}

#[test]
fn wordings_vary_with_the_seed_and_stay_in_the_vocabulary() {
    let known: BTreeSet<String> = vocabulary().into_iter().collect();
    let (from, to) = (Thing::disc(80.0, 90.0, 22.0, RED), Thing::disc(230.0, 80.0, 22.0, RED));
    let mut texts = BTreeSet::new();
    for seed in 0..12 {
        let frames = vec![Scene::new(&[from]).frame(0.0), Scene::new(&[to]).frame(1.0)];
        let config = AnnotateConfig { seed, ..AnnotateConfig::default() };
        let (session, _) = annotate_with(frames, &[], Link::default(), &config);
        let text = session.expect("the disc moves").transitions.remove(0).instruction;
        assert!(words(&text).all(|w| known.contains(&w)), "{text}");
        texts.insert(text);
    }
    assert!(texts.len() >= 4, "{texts:?}");
}

#[test]
fn odd_sizes_are_annotated() {
    for (width, height) in [(1, 1), (3, 500), (500, 3), (2, 2), (17, 9)] {
        let frame = |value: u8, time: f64| Frame {
            image: Image::filled(width, height, [value, 10, 200]),
            time,
        };
        let frames = vec![frame(10, 0.0), frame(250, 1.0), frame(251, 2.0)];
        let (session, _) = annotate_with(frames, &[], Link::default(), &AnnotateConfig::default());
        assert!(session.is_some(), "{width} x {height}: the light changes");
    }
}

/// The clips that ship with the crate: what happens in them, in the words of the facts.
#[test]
fn real_clips_are_annotated() {
    let events = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name);
        let open = || {
            let video = Video::open(&path, &Limits::default())?;
            Ok(video.map(|frame| frame.map(|f| Frame { image: f.image, time: f.time })))
        };
        let config = SampleConfig {
            count: None,
            interval: Some(IntervalSampling { seconds: 2.0, ..IntervalSampling::default() }),
            ..SampleConfig::default()
        };
        let mut annotator = Builtin::annotator(BuiltinConfig::default()).expect("is sound");
        let mut statistics = AnnotateStatistics::default();
        let mut shares = Vec::new();
        let sampled = sample(open, &config, |sampled| {
            let key = session_key(name, &sampled);
            let source = Source { name: name.into(), ..Source::default() };
            let session = annotate_session(
                sampled,
                &key,
                &source,
                &mut annotator,
                &AnnotateConfig::default(),
                &mut statistics,
            )?;
            let transitions = session.into_iter().flat_map(|s| s.transitions);
            shares.extend(transitions.filter_map(|t| t.next_mask).map(|m| m.share()));
            Ok(())
        });
        let sampled = sampled.expect("the clip is sound");
        assert_eq!((sampled.shots, sampled.cuts + sampled.dissolves + sampled.fades), (1, 0));
        (statistics, shares)
    };
    // Cars come, drive and leave before a fixed camera.
    let (cars, shares) = events("parking_cars.avi");
    let count = |name: &str| cars.events.get(name).copied().unwrap_or(0);
    assert!(count("add") >= 2 && count("remove") >= 2 && count("move") >= 1, "{cars:?}");
    assert_eq!((count("camera"), count("scene_change"), cars.masks_off_difference), (0, 0, 0));
    assert!(shares.iter().filter(|&&share| share < 0.35).count() >= 6, "{shares:?}");
    // A bud opens.
    let (flower, shares) = events("flower_bloom.avi");
    assert_eq!(flower.events.get("camera"), None, "{flower:?}");
    assert!(!shares.is_empty() && shares.iter().all(|&share| share < 0.4), "{shares:?}");
}

#[test]
fn frames_of_two_sizes_and_empty_frames_are_refused() {
    let frame = |side: usize| Frame { image: Image::filled(side, side, [0; 3]), time: 0.0 };
    for frames in [vec![frame(4), frame(5)], vec![frame(0), frame(0)], vec![frame(4)], vec![]] {
        assert!(Sampled::from_frames(frames, 320).is_err());
    }
}

#[test]
fn keys_have_only_the_letters_they_may_have() {
    let frame = |time: f64| Frame { image: Image::filled(4, 4, [0; 3]), time };
    let sampled = Sampled::from_frames(vec![frame(0.0), frame(1.0)], 320).expect("two frames");
    let key = session_key("my video (1).tar.mp4", &sampled);
    assert_eq!(key, "my-video--1--tar-count-0000");
    assert!(crate::session::check_key(&key).is_ok());
    assert!(crate::session::check_key(&session_key(&"\u{e9}".repeat(500), &sampled)).is_ok());
}

#[test]
fn the_sum_of_both_masks_covers_the_change() {
    let (from, to) = (Thing::disc(140.0, 90.0, 25.0, RED), Thing::disc(165.0, 90.0, 25.0, RED));
    let found = transition(&Scene::new(&[from]), &Scene::new(&[to]), &elsewhere(RED));
    let (current, next) = (found.current_mask, found.next_mask);
    let both = union(&current.expect("a mask"), &next.expect("a mask"));
    assert!(overlap(&both, &union(&from.mask(), &to.mask())) > 0.85);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_picture_makes_it_panic(
        width in 1usize..40,
        height in 1usize..40,
        bytes in proptest::collection::vec(any::<u8>(), 3 * 40 * 40),
        count in 2usize..4,
        with_cut in any::<bool>(),
    ) {
        let frame = |i: usize| {
            let start = (i * 131) % 97;
            let image = Image::new(width, height, bytes[start..start + 3 * width * height.min(38)]
                .iter().copied().chain(std::iter::repeat(7)).take(3 * width * height).collect());
            Frame { image, time: i as f64 }
        };
        let boundary = with_cut.then_some(
            Boundary { kind: BoundaryKind::Fade, start: 1, end: 2, score: 0.5 });
        let link = Link { boundary, ..Link::default() };
        let keep = AnnotateConfig { unchanged: Unchanged::Keep, ..AnnotateConfig::default() };
        let known: BTreeSet<String> = vocabulary().into_iter().collect();
        let (session, _) = annotate_with((0..count).map(frame).collect(), &[], link, &keep);
        let session = session.expect("unchanged frames are kept");
        for transition in &session.transitions {
            let text = &transition.instruction;
            prop_assert!(words(text).all(|w| known.contains(&w)), "{}", text);
            prop_assert!(!text.contains('{') && !text.contains("  "), "{}", text);
            prop_assert!(text.split_whitespace().count() <= 30, "{}", text);
            prop_assert!(text.ends_with('.'));
        }
    }
}
