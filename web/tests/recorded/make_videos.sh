#!/bin/sh
# How the videos here were made, with ffmpeg 5.1.9 (Debian 12): three seconds of 160 × 90 at 10 Hz, a key
# frame a second and no B-frames. All of frame n has the grey level 16 + 7 n of video, which is
# (7 n) × 255 / 219 of RGB: a picture tells its number, and is right only if all before it were decoded.
# The H.26x are Annex B with access unit delimiters and parameter sets before each key frame.
set -eu
cd "$(dirname "$0")"
make() { # <file> <how it is encoded>...
	file=$1
	shift
	grey="color=c=black:s=160x90:r=10:d=3,format=yuv420p,geq=lum='16+7*N':cb=128:cr=128"
	ffmpeg -v error -y -f lavfi -i "$grey" -g 10 "$@" "$file"
}
make grey.h264 -c:v libx264 -profile:v main -bf 0 -x264-params scenecut=0:aud=1:repeat-headers=1
make grey.h265 -c:v libx265 -f hevc \
	-x265-params log-level=error:keyint=10:min-keyint=10:scenecut=0:bframes=0:open-gop=0:aud=1:repeat-headers=1:info=0
make grey.vp9.ivf -c:v libvpx-vp9 -keyint_min 10 -lag-in-frames 0 -auto-alt-ref 0 -deadline realtime
make grey.av1.ivf -c:v libaom-av1 -keyint_min 10 -lag-in-frames 0 -usage realtime -cpu-used 8
