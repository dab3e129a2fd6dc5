#!/bin/bash
# Submits what is left of wiki103: 9 of 9 stages.
# Written by knn-lm slurm, which writes it anew and runs it when it is called again.
set -euo pipefail
cd /scratch/me/runs/wiki103
# A shell in which one task was tried by hand: every task of an array would take itself for that one.
unset KNN_LM_SHARD KNN_LM_SHARDS KNN_LM_LOG

touch jobs.tsv
if [ "$(wc -l < jobs.tsv)" -ne 0 ]; then
  echo 'jobs were submitted since this was written; call knn-lm slurm again for what is left' >&2
  exit 1
fi

# Prints the number of the job, and keeps it in jobs.tsv for knn-lm slurm-status.
submit() {
  local stage=$1 job
  shift
  job=$(sbatch --parsable "$@" "$stage.sbatch") || return
  job=${job%%;*}
  printf '%s\t%s\n' "$stage" "$job" >> jobs.tsv
  printf '%s: job %s\n' "$stage" "$job" >&2
  printf '%s\n' "$job"
}

preprocess=$(submit preprocess)
convert=$(submit convert)
generate=$(submit generate --dependency=afterok:$preprocess:$convert --kill-on-invalid-dep=yes)
merge=$(submit merge --dependency=afterok:$generate --kill-on-invalid-dep=yes)
train=$(submit train --dependency=afterok:$merge --kill-on-invalid-dep=yes)
add=$(submit add --dependency=afterok:$train --kill-on-invalid-dep=yes)
join=$(submit join --dependency=afterok:$add --kill-on-invalid-dep=yes)
evaluate=$(submit evaluate --dependency=afterok:$join --kill-on-invalid-dep=yes)
reduce=$(submit reduce --dependency=afterok:$evaluate --kill-on-invalid-dep=yes)
