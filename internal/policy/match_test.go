package policy

import (
	"slices"
	"testing"

	"cargoship.dev/operator/internal/endpoint"
)

func TestChoose(t *testing.T) {
	aws := endpoint.Domain("", "eu-central-1", "photos")
	own := endpoint.Domain("https://s3.example.com:9000/store", "", "photos")
	policies := []Named{
		{"all", Match{}},
		{"aws", Match{Endpoint: "https://s3.amazonaws.com"}},
		{"frankfurt", Match{Endpoint: "https://s3.eu-central-1.amazonaws.com", Bucket: "films"}},
		{"own", Match{Endpoint: "https://S3.example.com:9000/store/"}},
		{"own-photos", Match{Endpoint: "https://s3.example.com:9000/store", Bucket: "photos"}},
		{"own-photos-too", Match{Endpoint: "https://photos.s3.example.com:9000/store", Bucket: "photos"}},
		{"music", Match{Bucket: "music"}},
	}
	for domain, want := range map[string][]string{
		aws: {"aws"},
		own: {"own-photos", "own-photos-too"},
		endpoint.Domain("", "eu-central-1", "films"):                        {"frankfurt"},
		endpoint.Domain("", "us-east-1", "films"):                           {"aws"},
		endpoint.Domain("https://s3.example.com:9000/store", "", "music"):   {"music"},
		endpoint.Domain("https://s3.example.com:9000/store", "", "letters"): {"own"},
		endpoint.Domain("https://s3.example.com", "", "letters"):            {"all"},
	} {
		var got []string
		for _, p := range Choose(domain, policies) {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is governed by %v, want %v", domain, got, want)
		}
	}
}
