//! Random worlds: the evaluator says what the model says, after every change.
//!
//! `MILO_IAM_CASES` is how many worlds are tried, 24 by default; each asks thousands of questions.
//! The seed is printed, and `MILO_IAM_SEED` sets it.

mod support;

use std::cell::Cell;

use milo_iam::{Evaluator, Question, Snapshot, model, world::World};
use proptest::prelude::*;
use support::{
    runner,
    worlds::{change, question, sample, start},
};

fn agree(snapshot: &Snapshot, world: &World, questions: &[Question]) -> usize {
    let mut allowed = 0;
    for question in questions {
        let expected = model::check(world, question);
        assert_eq!(snapshot.check(question), expected, "{question}\n{world:#?}");
        allowed += usize::from(expected);
    }
    allowed
}

#[test]
fn updates_in_any_order_give_what_the_model_says() {
    let all = sample(&question(), 4000);
    let (asked, granted) = (Cell::new(0), Cell::new(0));
    let history = (
        start(),
        prop::collection::vec(prop::collection::vec(change(), 1..4), 1..12),
        0usize..4000,
    );
    let result = runner(24).run(&history, |(start, batches, offset)| {
        let mut world = World::new().with(start);
        let evaluator = Evaluator::new();
        evaluator.relist(1, world.clone()).expect("nothing was applied before");
        let mut revision = 1;
        let ask = |world: &World, some: &[Question]| {
            asked.set(asked.get() + some.len());
            granted.set(granted.get() + agree(&evaluator.snapshot(), world, some));
        };
        for batch in batches {
            revision += 1;
            world = world.with(batch.clone());
            evaluator.apply(revision, batch).expect("revisions go on");
            let some: Vec<Question> = all.iter().cycle().skip(offset).take(250).cloned().collect();
            ask(&world, &some);
        }
        ask(&world, &all);
        // What was built by changes is what is built at once.
        agree(&Snapshot::of(world.clone()), &world, &all[..500]);
        Ok(())
    });
    println!("{} questions, {} allowed", asked.get(), granted.get());
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(granted.get() > 0, "worlds in which nothing is allowed prove nothing");
}
