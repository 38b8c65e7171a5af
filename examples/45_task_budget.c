/* SPDX-License-Identifier: MIT
 *
 * A budget of tasks: a task takes one of eight places and a stack of so many bytes, both or
 * nothing. The system is sure of two tasks; a plug-in may have three and 2 KB of stacks, and what
 * it still runs when it is unloaded is found and stopped.
 */
#include <ealloc/ealloc.h>
#include <stdio.h>

#define N_TASKS 8
#define STACKS_BYTES 6144

enum { TASK, STACK, N_TYPES };
typedef struct {
    ea_account_t *tasks, *stacks;
} module_t;

static ea_account_t task_nodes[3], stack_nodes[3];
static ea_accounts_t task_budget, stack_budget;
static unsigned n_stopped;

/* Stands for vTaskDelete() and its kind. */
static void stop_task(void *context, uintptr_t task)
{
    (void)context, (void)task;
    n_stopped++;
}

static const ea_resource_type_t types[N_TYPES] = {
    [TASK] = {.name = "task", .unit = "tasks", .book = &task_budget, .destroy = stop_task},
    [STACK] = {.name = "stack", .unit = "bytes", .book = &stack_budget}};
static _Alignas(8) unsigned char memory[EA_MONITOR_BYTES(2 * N_TASKS, N_TYPES, 6, 1, 0, 0)];
static ea_monitor_t monitor;

/* got[TASK] is the task, got[STACK] its stack. */
static ea_status_t start_task(const module_t *module, uintptr_t task, size_t stack_bytes,
                              ea_resource_t *got)
{
    const ea_resource_request_t both[N_TYPES] = {
        [TASK] = {.account = module->tasks, .object = task, .type = TASK},
        [STACK] = {.account = module->stacks, .object = task, .units = stack_bytes, .type = STACK}};
    return ea_monitor_acquire_all(&monitor, both, N_TYPES, got);
}

static bool new_module(module_t *module, const char *name, ea_account_limits_t tasks,
                       ea_account_limits_t stacks)
{
    module->tasks = ea_account_create(&task_budget, task_nodes,
                                      &(ea_account_options_t){.name = name, .limits = tasks});
    module->stacks = ea_account_create(&stack_budget, stack_nodes,
                                       &(ea_account_options_t){.name = name, .limits = stacks});
    return module->tasks != NULL && module->stacks != NULL;
}

typedef struct {
    const module_t *of;
    ea_resource_t found[2 * N_TASKS];
    unsigned n;
} search_t;

static bool note_if_of_module(void *context, const ea_resource_info_t *info)
{
    search_t *search = context;
    ea_account_t *account = info->type == TASK ? search->of->tasks : search->of->stacks;
    if (info->account == ea_account_id(account)) search->found[search->n++] = info->resource;
    return true;
}

/* Whatever it left. Returns how many resources that were. */
static unsigned unload(const module_t *module)
{
    search_t search = {.of = module};
    size_t cursor = 0;
    if (ea_monitor_walk(&monitor, &cursor, 2 * N_TASKS, note_if_of_module, &search) != EA_OK) {
        return 0;
    }
    for (unsigned i = 0; i < search.n; i++) {
        if (ea_monitor_release(&monitor, search.found[i]) != EA_OK) return i;
    }
    return search.n;
}

int main(void)
{
    const ea_account_limits_t all_tasks = {.max = N_TASKS}, all_stacks = {.max = STACKS_BYTES};
    const ea_monitor_options_t options = {
        .types = types, .n_types = N_TYPES, .n_slots = 2 * N_TASKS};
    module_t system, plugin;
    if (ea_accounts_init(&task_budget, task_nodes, 3, &all_tasks) != EA_OK ||
        ea_accounts_init(&stack_budget, stack_nodes, 3, &all_stacks) != EA_OK ||
        ea_monitor_init(&monitor, memory, sizeof memory, &options) != EA_OK ||
        !new_module(&system, "system", (ea_account_limits_t){.min = 2},
                    (ea_account_limits_t){.min = 4096}) ||
        !new_module(&plugin, "plugin", (ea_account_limits_t){.max = 3},
                    (ea_account_limits_t){.max = 2048})) {
        return 1;
    }

    ea_resource_t got[N_TYPES];
    ea_status_t status = start_task(&plugin, 1, 1024, got);
    printf("first task of the plug-in: %s\n", ea_status_name(status));
    status =
        start_task(&plugin, 2, 1536, got); /* a place there is, but no stack: neither is held */
    printf("with too large a stack: %s, tasks in use: %u\n", ea_status_name(status),
           (unsigned)ea_account_committed(plugin.tasks));
    status = start_task(&plugin, 2, 512, got);
    if (status == EA_OK) status = start_task(&plugin, 3, 512, got);
    printf("two small ones: %s\n", ea_status_name(status));
    status = start_task(&plugin, 4, 0, got);
    printf("a fourth: %s\n", ea_status_name(status));
    status = start_task(&system, 10, 4096, got);
    printf("the system's, which it is sure of: %s\n", ea_status_name(status));

    unsigned n = unload(&plugin);
    printf("unloaded: %u resources, %u tasks stopped, in use %u tasks and %u bytes\n", n, n_stopped,
           (unsigned)ea_account_committed(plugin.tasks),
           (unsigned)ea_account_committed(plugin.stacks));
    return 0;
}
