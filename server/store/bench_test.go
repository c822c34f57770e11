package store_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport/server/store/storetest"
	"github.com/sallyport/sallyport/vpc"
)

// Updates per second from 1, 16 and 256 callers, each of one object of about 300 bytes or 12 kB.
func BenchmarkUpdate(b *testing.B) {
	for _, size := range []int{200, 9000} { // bytes of user data, which JSON makes a third longer
		for _, callers := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("bytes=%d/callers=%d", size*4/3, callers), func(b *testing.B) {
				s := storetest.New(b)
				data := make([]byte, size)
				var n atomic.Int64
				b.SetParallelism(max(1, callers/2)) // times GOMAXPROCS
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						id := vpc.InstanceID(fmt.Sprint("i-", n.Add(1)%10000))
						if _, err := s.Update(b.Context(), func(*vpc.State) (vpc.Change, error) {
							return vpc.Change{Puts: []vpc.Object{&vpc.Instance{ID: id, UserData: data}}}, nil
						}); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
			})
		}
	}
}
