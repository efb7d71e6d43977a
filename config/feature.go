package config

import (
	"fmt"
	"reflect"
)

// This file owns the list of kernel features: the keys of [io_uring] that are a [Tri]. It is read from the fields of
// IOUring, so that a feature is added there and in default.toml, and nowhere else in this package.

// KernelFeature is one kernel feature of the section [io_uring].
type KernelFeature struct {
	Name  string // its key
	Needs string // key of the feature without which it cannot be required; "" if there is none
	Wish  Tri
}

// Features returns the kernel features in the order of the file.
func (u *IOUring) Features() (features []KernelFeature) {
	section := reflect.ValueOf(u).Elem()
	for i := range section.NumField() {
		if wish, isFeature := section.Field(i).Interface().(Tri); isFeature {
			tag := section.Type().Field(i).Tag
			features = append(features, KernelFeature{tag.Get("toml"), tag.Get("needs"), wish})
		}
	}
	return features
}

// checkFeatures returns which kernel features are required without a feature that they need.
func (c *Config) checkFeatures() (found []finding) {
	features := c.IOUring.Features()
	wishes := make(map[string]Tri)
	for _, f := range features {
		wishes[f.Name] = f.Wish
	}
	for _, f := range features {
		if f.Wish == Require && wishes[f.Needs] == Off {
			key, other := "io_uring."+f.Name, "io_uring."+f.Needs
			found = append(found, finding{[]string{key, other},
				fmt.Sprintf(`%s is "require", but needs %s, which is "off"`, key, other)})
		}
	}
	return found
}
