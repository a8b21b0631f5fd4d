package endpoint

import (
	"strings"
	"testing"
)

func TestOneBucketHasOneDomain(t *testing.T) {
	for want, spellings := range map[string][][2]string{
		"aws:us-east-1/archive": {
			{"", ""}, {"", "us-east-1"},
			{"https://s3.amazonaws.com", "us-east-1"}, {"http://s3.amazonaws.com:80/", "us-east-1"}, {"https://S3.AmazonAWS.com.", ""},
			{"https://s3.us-east-1.amazonaws.com", "us-east-1"}, {"https://s3-us-east-1.amazonaws.com:443", ""},
			{"https://s3-external-1.amazonaws.com", ""}, {"https://s3.dualstack.us-east-1.amazonaws.com//", ""},
			{"https://s3-fips.us-east-1.amazonaws.com", ""}, {"https://s3-fips.dualstack.us-east-1.amazonaws.com", ""},
			{"https://s3-accelerate.amazonaws.com", ""}, {"https://s3-accelerate.dualstack.amazonaws.com", ""},
			{"https://archive.s3.amazonaws.com", ""}, {"https://archive.s3.us-east-1.amazonaws.com/", ""},
			{"https://bucket.vpce-0abc-1a2b.s3.us-east-1.vpce.amazonaws.com", ""},
		},
		"aws:eu-west-1/archive": {
			{"", "eu-west-1"}, {"https://s3.amazonaws.com", "eu-west-1"},
			{"https://s3.eu-west-1.amazonaws.com", ""}, {"https://s3-eu-west-1.amazonaws.com", "us-east-1"},
			{"https://archive.s3.dualstack.eu-west-1.amazonaws.com", ""},
		},
		"aws:us-gov-west-1/archive": {{"", "us-gov-west-1"}, {"https://s3.us-gov-west-1.amazonaws.com", ""}},
		"aws:cn-north-1/archive":    {{"", "cn-north-1"}, {"https://s3.cn-north-1.amazonaws.com.cn", ""}},
		"s3.example.com/archive": {
			{"https://s3.example.com", ""}, {"https://S3.Example.COM", ""}, {"https://s3.example.com.", ""},
			{"https://s3.example.com:443", ""}, {"http://s3.example.com:80", ""}, {"https://s3.example.com:0443", ""},
			{"https://s3.example.com/", ""}, {"https://s3.example.com//", ""}, {"https://s3.example.com/.", ""},
			{"https://s3.example.com", "eu-west-1"}, {"https://archive.s3.example.com", ""}, {"https://s3.example.com/archive", ""},
			{"https://archive.s3.example.com:443/archive/", ""},
		},
		"s3.example.com:9000/archive":    {{"http://s3.example.com:9000", ""}, {"http://s3.example.com.:9000//", ""}},
		"example.com/api/s3/archive":     {{"https://example.com/api/s3", ""}, {"https://example.com//api/./s3/", ""}},
		"127.0.0.1:9000/archive":         {{"http://127.0.0.1:9000", ""}, {"http://[::ffff:127.0.0.1]:9000", ""}},
		"[2001:db8::1]/archive":          {{"https://[2001:db8::1]", ""}, {"https://[2001:DB8:0:0::1]:443/", ""}},
		"[2001:db8::1]:9000/archive":     {{"https://[2001:db8::1]:9000", ""}},
		"minio/archive":                  {{"http://minio", ""}},
		"amazonaws.com.evil.org/archive": {{"https://amazonaws.com.evil.org", ""}},
		"sts.amazonaws.com/archive":      {{"https://sts.amazonaws.com", ""}},
	} {
		for _, s := range spellings {
			if got := Domain(s[0], s[1], "archive"); got != want {
				t.Errorf("Domain(%q, %q) = %q, want %q", s[0], s[1], got, want)
			}
		}
	}
}

func TestCheckRefusesWhatAnEndpointMustNotHold(t *testing.T) {
	for _, good := range []string{"", "https://s3.example.com", "http://127.0.0.1:9000", "http://minio_1:9000/", "https://[::1]:9000", "https://example.com/api/s3"} {
		if err := Check(good); err != nil {
			t.Errorf("Check(%q) = %v, want nil", good, err)
		}
	}
	for _, bad := range []string{
		"s3.example.com", "ftp://s3.example.com", "https://", "https:///archive", "https://key:hunter2@s3.example.com", "https://key@s3.example.com",
		"https://s3.example.com?x=hunter2", "https://s3.example.com/?", "https://s3.example.com#hunter2", "https://s3.example.com/#",
		"https://s3.example.com/a/../b", "https://s3.example.com/%2e", "https://s3.example.com:0", "https://s3.example.com:99999",
		"https://s3.example.com\\@evil", "https://s3.example.com/\n", " https://s3.example.com", "https://[::1", "https://s3.example.com/a b",
	} {
		err := Check(bad)
		if err == nil {
			t.Errorf("Check(%q) = nil, want an error", bad)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// FuzzDomain wants the name of a bucket to be that of the endpoint which the name spells.
func FuzzDomain(f *testing.F) {
	for _, seed := range []string{"https://S3.example.com.:443//a/./b", "http://[::1]:9000", "https://archive.archive.example.com/archive", "https://s3.dualstack.eu-west-1.amazonaws.com"} {
		f.Add(seed, "archive")
	}
	f.Fuzz(func(t *testing.T, endpoint, bucket string) {
		if Check(endpoint) != nil || endpoint == "" || len(bucket) < 3 || strings.ToLower(bucket) != bucket || strings.ContainsAny(bucket, "/%?#@:[] \\") {
			return
		}
		once := Domain(endpoint, "", bucket)
		if strings.HasPrefix(once, "aws:") {
			return
		}
		again := "http://" + strings.TrimSuffix(once, "/"+bucket)
		if twice := Domain(again, "", bucket); twice != once {
			t.Errorf("Domain(%q) = %q, and of that %q", endpoint, once, twice)
		}
	})
}
