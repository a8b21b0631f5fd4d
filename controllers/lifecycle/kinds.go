package lifecycle

import (
	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// wording is how conditions speak of a kind of workload.
type wording struct {
	noun string
	// running is the reason while archives move.
	running, runningMessage string
	planning                string
	// finish is what the finish Job does, finishing that it does so, counted where it counts.
	finish, finishing, counted string
	// done is what has become of a file, ended of all of them.
	done, ended string
	// failures says where the failures are named.
	failures string
	// empty and unselected say why there is no file at all.
	empty, unselected string
}

func wordsOf(at *workload.Workload) wording {
	if at.Restore != nil {
		return wording{
			noun: "restore", running: v1alpha1.ReasonRestoring, runningMessage: "restoring the archives",
			planning: "reading the index of the run",
			finish:   "finish the directories and verify the target", finishing: "finishing directories and verifying the target", counted: "target",
			done: "restored", ended: "restored and verified",
			failures:   "status.failures lists the first archives",
			empty:      "the run holds no files, so nothing was restored",
			unselected: "from.include and from.exclude select no file of the run, or none that spec.conflicts has not kept, so nothing was restored; correct them in a new restore",
		}
	}
	return wording{
		noun: "transfer", running: v1alpha1.ReasonTransferring, runningMessage: "archiving the source",
		planning: "listing the source; files already listed are being archived",
		finish:   "write the index and abort open uploads", finishing: "writing the index and aborting open uploads", counted: "bucket",
		done: "archived", ended: "uploaded and verified",
		failures:   "status.failures lists the first archives, their manifests in the bucket list every file",
		empty:      "the source holds no files, so nothing was uploaded",
		unselected: "source.include and source.exclude select no file of the source, so nothing was uploaded; correct them in a new transfer",
	}
}

// hasPatterns tells whether the user selects files by patterns.
func hasPatterns(at *workload.Workload) bool {
	if at.Restore != nil {
		return len(at.Restore.Spec.From.Include)+len(at.Restore.Spec.From.Exclude) > 0
	}
	return len(at.Transfer.Spec.Source.Include)+len(at.Transfer.Spec.Source.Exclude) > 0
}

// claimOf names the claim that the workload mounts, and what it is for; "" for none.
func claimOf(at *workload.Workload) (name, role string) {
	if at.Restore != nil {
		return targetName(at.Restore), "target"
	}
	if c := at.Transfer.Spec.Source.PersistentVolumeClaim; c != nil {
		return c.ClaimName, "source"
	}
	return "", ""
}
