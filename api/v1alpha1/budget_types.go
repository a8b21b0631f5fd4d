package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// Budget is what a transfer may cost.
type Budget struct {
	// maxCost is the most that the transfer may cost, in USD at the list prices that cargoship
	// estimate uses, wherever the bucket is: its requests, those to the KMS, and storage for
	// the months given, before compression. If it would cost more, nothing of the source is
	// uploaded, and the condition Progressing tells how much it costs, until the budget is
	// raised or removed; 0 only tells that.
	// +required
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0 && quantity(string(self)).compareTo(quantity('1G')) <= 0",message="must be an amount of USD from 0 to 1G, such as 12.50"
	MaxCost *resource.Quantity `json:"maxCost,omitempty"`

	// months is for how long storage counts. Classes with a minimum storage duration count
	// for at least that.
	// +optional
	// +kubebuilder:default=12
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1200
	Months int32 `json:"months,omitempty"`
}
