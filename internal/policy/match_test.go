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
		{Name: "all", Match: Match{}},
		{Name: "aws", Match: Match{Endpoint: "https://s3.amazonaws.com"}},
		{Name: "frankfurt", Match: Match{Endpoint: "https://s3.eu-central-1.amazonaws.com", Bucket: "films"}},
		{Name: "own", Match: Match{Endpoint: "https://S3.example.com:9000/store/"}},
		{Name: "own-photos", Match: Match{Endpoint: "https://s3.example.com:9000/store", Bucket: "photos"}},
		{Name: "own-photos-too", Match: Match{Endpoint: "https://photos.s3.example.com:9000/store", Bucket: "photos"}},
		{Name: "music", Match: Match{Bucket: "music"}},
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

func TestQuotaKey(t *testing.T) {
	destination := endpoint.Domain("", "eu-central-1", "photos")
	all := Named{Name: "z", QuotaKey: "account"}
	server := Match{Endpoint: "https://s3.amazonaws.com"}
	for name, test := range map[string]struct {
		policies []Named
		want     string
	}{
		"of no policy":                       {nil, ""},
		"of the only policy":                 {[]Named{all}, "account"},
		"of the most specific policy":        {[]Named{all, {Name: "a", Match: server, QuotaKey: "kms"}}, "kms"},
		"which may have none":                {[]Named{all, {Name: "a", Match: server}}, ""},
		"of a policy of others":              {[]Named{{Name: "a", Match: Match{Bucket: "films"}, QuotaKey: "kms"}}, ""},
		"of the first of those that differ":  {[]Named{{Name: "b", QuotaKey: "link"}, {Name: "a", QuotaKey: "kms"}, all}, "kms"},
		"of those as specific that have one": {[]Named{{Name: "a"}, all}, "account"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := QuotaKey(Choose(destination, test.policies)); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
