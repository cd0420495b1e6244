//! A bare run of scenarios, for calibration.
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (tasks, share, replicates) = (
        args[1].parse().unwrap_or(2000),
        args[2].parse().unwrap_or(0.5),
        args[3].parse().unwrap_or(200),
    );
    for scenario in uplift_sim::decisions::scenario::all() {
        if args.len() > 4 && !args[4..].iter().any(|name| name == scenario.name) {
            continue;
        }
        let setup = uplift_sim::decisions::replicate::Setup {
            scenario,
            tasks,
            share,
            seed: 7,
            policy: uplift_model::policy::trial::TrialPolicy::default(),
        };
        let t = std::time::Instant::now();
        let s = uplift_sim::decisions::score::score(&setup, replicates, 1, &|| {});
        println!(
            "{:20} rb {:.3} (early {:.3}) proven {:.3} supp {:.3} inc {:.3} inv {:.3} med {:?} exp {:.0}  {:?}",
            s.name,
            s.p_rollback,
            s.early_rollbacks,
            s.p_keep_proven,
            s.p_keep_supported,
            s.p_inconclusive,
            s.p_invalid,
            s.median_candidate_tasks,
            s.exposed_tasks,
            t.elapsed()
        );
    }
}
