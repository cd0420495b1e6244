//! What every engine must pass: one case a promise of the facade. Each case takes an empty store.
//!
//! An engine runs all of them with [`store_suite!`](crate::store_suite), which makes a test of each:
//!
//! ```ignore
//! async fn make() -> (Arc<dyn Store>, Guard) { /* an empty store, and what keeps it alive */ }
//! uplift_store::store_suite!(make);
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "these are tests")]

pub mod access;
pub mod attention;
pub mod claims;
pub mod detection;
pub mod folding;
pub mod improvements;
pub mod intake;
pub mod judged;
pub mod lists;
pub mod processes;
pub mod pruning;
pub mod requests;
pub mod reviews;
pub mod sample;
pub mod scene;
pub mod scratch;
#[cfg(unix)]
pub mod server;
pub mod spans;
pub mod steps;
pub mod trials;
pub mod units;
pub mod windows;

/// Makes a test of every case of the suite. Takes the name of an async function that returns an empty store and a
/// guard, which lives as long as the test; or nothing, where the engine cannot be tested here.
#[macro_export]
macro_rules! store_suite {
    ($make:ident) => {
        $crate::store_suite! { $make =>
            intake: [
                stores_and_folds,
                duplicates_change_nothing,
                nobody_ends_the_tasks_of_others,
                a_conflicting_duplicate_is_refused_and_named,
                an_unknown_id_is_refused_and_the_rest_taken,
                strangers_are_refused_without_auto_register,
                agents_and_tools_register_themselves,
                environments_do_not_mix,
                names_are_found_or_hinted_at,
                the_clock_never_goes_back,
                nothing_is_nothing,
            ],
            folding: [
                late_links_give_the_same_task,
                a_trace_named_like_a_task_is_that_task,
                a_refused_event_links_nothing,
                a_key_brings_its_environment_along,
                calls_of_linked_tasks_are_found,
                order_does_not_matter,
                the_last_attempt_counts,
                events_outside_tasks_are_no_task,
            ],
            spans: [
                calls_count_for_the_nearest_agent,
                a_root_stands_for_the_task,
                what_is_missing_is_settled_and_corrected,
                the_agent_at_the_root_takes_what_is_lost,
                named_errors_count_at_once,
                a_call_inside_a_call_counts_once,
                a_session_is_the_whole_traces,
                spans_sent_again_change_nothing,
                an_open_status_follows_the_agents_rule,
                strangers_are_not_registered_by_spans,
                exposures_of_plain_spans_count,
                any_order_gives_the_same_tasks,
            ],
            detection: [
                the_sixth_error_marks_and_the_fifth_does_not,
                errors_a_day_apart_do_not_add_up,
                late_errors_cross_a_window,
                what_was_dismissed_stays_away_for_the_episode,
                a_slower_operation_is_marked,
                a_little_slower_is_not_marked,
                thresholds_follow_the_policy,
                marks_are_confirmed_or_withdrawn,
            ],
            windows: [
                a_window_holds_the_latest_ended_tasks,
                a_window_holds_so_many_calls_at_the_most,
                a_task_has_its_steps,
                calls_come_in_time_order,
                an_error_group_has_its_history,
                an_operation_has_its_slowest_events,
                trends_and_error_hours,
            ],
            reviews: [
                due_by_tasks,
                due_by_time,
                due_by_either,
                a_review_starts_the_counter_anew,
            ],
            steps: [
                one_opportunity_is_open_for_a_problem,
                what_a_person_dismissed_is_respected,
                what_is_closed_cannot_be_closed_again,
                circles_of_dependence_are_refused,
                declared_ties_stand_above_learnt_ones,
                revisions_are_addressed_by_content,
                a_name_is_declared_running_once,
                versions_are_checked,
                a_stale_lease_is_refused,
                alerts_are_raised_and_resolved,
                settings_round_trip,
                a_commit_is_all_or_nothing,
                an_empty_store_is_healthy,
            ],
            access: [
                tokens_come_and_go,
                uses_are_noted,
                actions_are_written_down,
            ],
            requests: [
                a_request_follows_its_answer,
                requests_are_listed,
                askers_have_a_record,
                named_tasks_are_found,
                the_order_of_work_can_be_planned,
            ],
            attention: [
                alerts_are_looked_after,
                news_tells_what_became_of_things,
                targets_come_and_go,
                deliveries_are_made_once,
                old_news_goes,
                days_and_entities,
                health_follows_its_settings,
            ],
            claims: [
                what_is_claimed_comes_back,
                what_was_solved_may_come_back,
                claimable_ones_come_in_order,
                what_cannot_be_worked_on_is_not_claimable,
                only_what_is_wanted_comes,
                a_request_asks_for_its_type,
            ],
            improvements: [
                an_improvement_is_put_on_record_with_its_process,
                nonsense_is_not_put_on_record,
                statuses_follow_each_other,
                changes_are_made_from_the_latest_version,
                one_improvement_occupies_an_entity,
                what_was_looked_at_does_not_change,
                improvements_are_listed,
                history_tells_what_became_of_it,
                track_records_count_the_last_word,
            ],
            trials: [
                a_trial_is_read_back_as_declared,
                one_trial_runs_on_an_entity,
                a_trial_needs_what_it_names,
                stages_follow_each_other,
                a_look_is_saved_once,
                a_trial_ends_once,
                the_last_change_is_the_end_of_a_trial,
                trials_are_listed,
                what_is_served_follows_its_changes,
                pointers_and_defaults_leave_a_trail,
                pages_cover_what_is_served,
                a_commit_of_the_loop_is_all_or_nothing,
            ],
            judged: [
                a_judge_finds_the_unit,
                a_score_may_name_the_trace,
            ],
            units: [
                a_unit_comes_whole,
                what_began_before_the_trial_is_left_out,
                duplicates_touch_nothing,
                a_session_is_one_unit,
                a_trace_goes_over_to_its_session,
                owners_may_show_late,
                a_moved_task_leaves_its_unit,
                nothing_is_lost_between_reading_and_saving,
                the_numbering_never_goes_back,
                ended_trials_note_nothing,
                units_are_forgotten_whole,
                any_order_gives_the_same_units,
                the_past_is_made_of_the_same_units,
                units_come_and_go_with_their_events,
            ],
            processes: [
                one_instance_runs_for_a_subject,
                due_instances_come_in_order,
                steps_are_taken_once,
                failures_are_counted,
                processes_are_woken,
                leases_change_hands,
                actions_wait_in_the_outbox,
            ],
            pruning: [
                old_traces_go_whole,
                attributes_stay_while_they_are_used,
                long_traces_go_in_steps,
                spans_that_are_no_events_go_too,
                what_a_trial_rests_on_stays,
                tasks_go_last,
                what_is_not_whole_is_not_looked_at,
                clocks_may_jump,
                sums_show_no_difference,
            ],
            lists: [
                pages_cover_entities,
                pages_cover_events,
                pages_cover_tasks,
                pages_cover_opportunities,
                pages_cover_counters_and_alerts,
                bad_cursors_are_refused,
                filters_hold,
            ],
        }
    };
    ($make:ident => $($module:ident: [$($case:ident),+ $(,)?]),+ $(,)?) => {
        $(mod $module {
            $(
                #[tokio::test]
                async fn $case() {
                    // None where there is no server to test with, which whoever makes the store says.
                    let made: Option<(std::sync::Arc<dyn $crate::Store>, _)> = super::$make().await.into();
                    let Some((store, _guard)) = made else { return };
                    $crate::suite::$module::$case(store).await;
                }
            )+
        })+
    };
}
