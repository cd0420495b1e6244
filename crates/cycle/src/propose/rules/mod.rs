//! The proposers, a file each, by type of improvement. Each says what it looks at and what it writes.

// instruction_update
pub(super) mod order_guideline;
pub(super) mod repeat_guideline;
pub(super) mod tool_guideline;
// context_optimization
pub(super) mod dead_context;
pub(super) mod wanted_context;
// tool_reassignment
pub(super) mod borrow_tool;
pub(super) mod drop_tool;
pub(super) mod hand_tool_over;
pub(super) mod require_tool;
// process_automation
pub(super) mod sequence_process;
// performance_tuning
pub(super) mod call_cache;
pub(super) mod together_guideline;
pub(super) mod token_limit;
pub(super) mod tool_retries;
pub(super) mod tool_timeout;
// error_prevention
pub(super) mod argument_guard;
pub(super) mod check_guideline;
pub(super) mod result_guard;
