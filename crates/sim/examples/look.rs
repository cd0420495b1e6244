//! Prints endings.
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let scenario = uplift_sim::decisions::scenario::named(&args[1]).unwrap();
    let setup = uplift_sim::decisions::replicate::Setup {
        scenario,
        tasks: args[2].parse().unwrap(),
        share: args[3].parse().unwrap(),
        seed: 7,
        policy: uplift_model::policy::trial::TrialPolicy {
            rollback_alpha: std::env::var("RA").map_or(0.075, |x| x.parse().unwrap()),
            least_cost_ratio: std::env::var("LC").map_or(1.03, |x| x.parse().unwrap()),
            ..Default::default()
        },
    };
    let base = setup.baseline();
    println!("{base:?}");
    for r in 0..args[4].parse().unwrap() {
        let e = setup.run(r, &base);
        let f = &e.verdict.findings;
        println!(
            "{r} {:?} {:?} cand {} comb {:.2}/{:.2} bal {:.3} eff {:.3} [{:.2},{:.2}]",
            e.verdict.decision,
            e.verdict.reasons,
            e.candidate_tasks,
            f.combined.log_evidence,
            f.combined.log_evidence_without_costs,
            f.balance,
            f.effectiveness.estimate,
            f.effectiveness.low,
            f.effectiveness.high
        );
        for m in &f.metrics {
            println!(
                "     {:12} n {:?} c {:.4} t {:.4} eff {:+.3} [{:+.3},{:+.3}] harm {:.2} share {:.2} better {:.2} nw {:.2} fixed {:?}",
                m.name,
                m.n,
                m.control,
                m.candidate,
                m.effect.estimate,
                m.effect.low,
                m.effect.high,
                m.evidence.harm,
                m.evidence_share,
                m.evidence.better,
                m.evidence.not_worse,
                m.fixed.map(|x| (x.harm, x.better, x.not_worse))
            );
        }
        if r == 0 {
            println!("{}", e.verdict.text);
        }
    }
}
