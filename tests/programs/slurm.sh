#!/usr/bin/env bash
# Under Slurm, on this machine alone, by daemons of the test's own: srun, and examples/cluster/run.sbatch, whose job another
# one of higher priority drives out.  Slurm may be installed or unpacked; it is looked for in PATH.
source "$(dirname "$0")/lib.sh"
source "$PROGRAMS/ranks_lib.sh"
PATH=$PATH:/usr/sbin:$(dirname "$(realpath "$DEQ")")
ctld=$(command -v slurmctld || command -v slurmctld-wlm) && slurmd=$(command -v slurmd || command -v slurmd-wlm) &&
  stepd=$(command -v slurmstepd || command -v slurmstepd-wlm) && command -v srun >/dev/null ||
  { echo "skipped: no Slurm (Debian: slurm-wlm)"; exit 77; }
((EUID == 0)) || { echo "skipped: Slurm's daemons start jobs as root only"; exit 77; }
plugins=$(dirname "$(find "${ctld%/sbin/*}"/lib* -name auth_none.so 2>/dev/null | head -1)")
[[ -e $plugins/mpi_pmix.so ]] || { echo "skipped: this Slurm has no auth/none or no PMIx"; exit 77; }

host=$(hostname -s) port=$((20000 + $$ % 10000))
mkdir state spool
cat >slurm.conf <<E
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$WORK/state
SlurmdSpoolDir=$WORK/spool
SlurmctldPidFile=$WORK/slurmctld.pid
SlurmdPidFile=$WORK/slurmd.pid
PluginDir=$plugins
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/linear
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=pmix
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=low Nodes=$host Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=240 State=UP
PartitionName=high Nodes=$host PriorityTier=2 PreemptMode=OFF State=UP
E
export SLURM_CONF=$PWD/slurm.conf
"$ctld" -D -c >ctld.log 2>&1 &
daemons=$!
sleep 1
"$slurmd" -D -c -d "$stepd" >slurmd.log 2>&1 &
daemons="$daemons $!"
trap 'kill $daemons 2>/dev/null; wait; rm -rf "$WORK"' EXIT
up() { [[ $(sinfo -h -p low -o %t 2>/dev/null) == idle ]]; }
patiently up || { cp slurmd.log out; fail "Slurm's daemons do not come up"; }

data 200
cp "$PROGRAMS/ranks.deq" .
expect 0 '' "$DEQ" run ranks.deq --threads 2 --results alone
expect 0 '^ranks: 2, ' srun -n 2 deq run ranks.deq --threads 1 --fresh --results stepped
same_files alone/ranks stepped/ranks

# a job that is driven out writes a checkpoint, is queued again, goes on, and ends as if nothing had been
sed 's/epochs: *3/epochs: 40/' ranks.deq >long.deq
expect 0 'Submitted batch job' sbatch -o job.out -p low --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 \
  "$SOURCE/examples/cluster/run.sbatch" long.deq --results driven
job=$(sed 's/.* //' out)
patiently grep -q 'epoch 2/' job.out || { cp job.out out; fail "the job does not train"; }
expect 0 "$host" srun -p high -n 1 hostname -s
grep -q 'E0922.*run the same command again' job.out || { cp job.out out; fail "the job was not told to end"; }
queued() { [[ $(squeue -h -j "$job" -o %T) == PENDING ]]; }
patiently queued || { cp job.out out; fail "the job was not queued again"; }
scontrol update JobId="$job" StartTime=now # Slurm would wait two minutes
ended() { [[ $(scontrol show job "$job" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p') == COMPLETED ]]; }
patiently ended || { cp job.out out; fail "the job has not come to its end"; }
cp job.out out
grep -q 'resumed after epoch' job.out || fail "the job began anew"
expect 0 '' "$DEQ" run long.deq --threads 2 --fresh --results whole
same_files whole/long driven/long
done_testing
