// Package convert translates between the API's types and the coordination
// core's, and is the only place that knows both vocabularies.
package convert
