package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// Thaw says how objects in archive storage classes are made readable.
type Thaw struct {
	// tier is how fast: Standard takes 3 to 12 hours, Bulk 5 to 48 and costs less, Expedited
	// takes minutes, costs more, and is not available for Deep Archive.
	// +optional
	// +kubebuilder:default=Standard
	Tier ThawTier `json:"tier,omitempty"`

	// days is how long thawed objects stay readable, which has to cover the thaw of all of
	// them and the restore.
	// +optional
	// +kubebuilder:default=7
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=365
	Days int32 `json:"days,omitempty"`

	// maxCost is the most that thawing may cost, in USD at the list prices that
	// cargoship estimate uses. If it would cost more, nothing is asked for, and the condition
	// Progressing tells how much it costs; 0 only tells that.
	// +required
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0 && quantity(string(self)).compareTo(quantity('1G')) <= 0",message="must be an amount of USD from 0 to 1G, such as 12.50"
	MaxCost *resource.Quantity `json:"maxCost,omitempty"`
}

// ThawTier is how fast, and how expensively, objects are thawed.
// +kubebuilder:validation:Enum=Standard;Bulk;Expedited
type ThawTier string

const (
	// ThawStandard takes 3 to 12 hours.
	ThawStandard ThawTier = "Standard"
	// ThawBulk takes 5 to 48 hours and costs less.
	ThawBulk ThawTier = "Bulk"
	// ThawExpedited takes minutes and costs more.
	ThawExpedited ThawTier = "Expedited"
)
