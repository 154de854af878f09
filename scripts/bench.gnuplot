# For scripts/bench: bytes and CPU of both forms beside the peer's. data, output: -e
# Bars stand on "as the peer": up is less than the peer's, down is more. The axis is logarithmic; the bars are of log10.
set terminal pngcairo size 1500,1000 font "sans,11"
set output output
set multiplot layout 2,1 spacing 0,0.12 margins 0.09,0.99,0.05,0.96
set style fill solid 0.9 noborder
set grid ytics lt 1 lc rgb "#dddddd"
set key top right horizontal
set xzeroaxis lt 1 lc rgb "black"
set xtics scale 0
set offsets 0.2, 0.2, 0.25, 0.12
set ytics ("4 times more" log10(0.25), "2 times more" log10(0.5), "the same" 0, "2 times less" log10(2), "3" log10(3), "5" log10(5), "10" log10(10), \
	"20" log10(20), "50" log10(50), "100" log10(100), "200" log10(200))
times(x) = x >= 9.95 ? sprintf("%.0f", x) : x >= 1 ? sprintf("%.1f", x) : sprintf("1/%.1f", 1 / x)
beyond(x, gap) = log10(x) + (x >= 1 ? gap : -gap)
set title "Bytes: how many times less than libvncserver's, given the rectangles that truly changed (b)"
plot data using 0:(0):xtic(1) with points ps 0 notitle, \
	'' using ($0-0.18):(log10($2)):(0.34) with boxes lc rgb "#2c7fb8" title "garasu", \
	'' using ($0+0.18):(log10($3)):(0.34) with boxes lc rgb "#7fcdbb" title "tight", \
	'' using ($0-0.18):(beyond($2, 0.06)):(times($2)) with labels notitle, \
	'' using ($0+0.18):(beyond($3, 0.06)):(times($3)) with labels notitle
set title "CPU: how many times less than libvncserver's, given the true rectangles (b), or the damage as reported (a)"
plot data using 0:(0):xtic(1) with points ps 0 notitle, \
	'' using ($0-0.3):(log10($4)):(0.19) with boxes lc rgb "#2c7fb8" title "garasu to (b)", \
	'' using ($0-0.1):(log10($5)):(0.19) with boxes lc rgb "#7fcdbb" title "tight to (b)", \
	'' using ($0+0.1):(log10($6)):(0.19) with boxes lc rgb "#253494" title "garasu to (a)", \
	'' using ($0+0.3):(log10($7)):(0.19) with boxes lc rgb "#41ae76" title "tight to (a)", \
	'' using ($0-0.3):(beyond($4, 0.04)):(times($4)) with labels notitle, \
	'' using ($0-0.1):(beyond($5, 0.04)):(times($5)) with labels notitle, \
	'' using ($0+0.1):(beyond($6, 0.04)):(times($6)) with labels notitle, \
	'' using ($0+0.3):(beyond($7, 0.04)):(times($7)) with labels notitle
