# For scripts/bench: bytes and CPU of both forms beside the peer's. data, output: -e
# Bars stand on "as the peer": up is less than the peer's, down is more. The axis is logarithmic; the bars are of log10.
set terminal pngcairo size 1500,1000 font "sans,11"
set output output
set multiplot layout 2,1 spacing 0,0.12 margins 0.06,0.99,0.07,0.95
set style fill solid 0.9 noborder
set grid ytics lt 1 lc rgb "#dddddd"
set key top right horizontal
set xzeroaxis lt 1 lc rgb "black"
set xtics scale 0
set xrange [-0.5:*]
set offsets 0, 0.5, 0.12, 0.06
set ytics ("4 times more" log10(0.25), "2 times more" log10(0.5), "the same" 0, "2 times less" log10(2), "5" log10(5), "10" log10(10), \
	"20" log10(20), "50" log10(50), "100" log10(100), "200" log10(200))
set lmargin at screen 0.08
times(x) = x >= 9.95 ? sprintf("%.0f", x) : x >= 1 ? sprintf("%.1f", x) : sprintf("%.2f", x)
above(x) = log10(x) + (x >= 1 ? 0.04 : -0.04)
set title "Bytes: how many times less than libvncserver's, given the rectangles that truly changed (b)"
plot data using ($0-0.18):(log10($2)):(0.34):xtic(1) with boxes lc rgb "#2c7fb8" title "garasu", \
	'' using ($0+0.18):(log10($3)):(0.34) with boxes lc rgb "#7fcdbb" title "tight", \
	'' using ($0-0.18):(above($2)):(times($2)) with labels notitle, \
	'' using ($0+0.18):(above($3)):(times($3)) with labels notitle
set title "CPU: how many times less than libvncserver's, given the true rectangles (b), or the damage as reported (a)"
plot data using ($0-0.3):(log10($4)):(0.19):xtic(1) with boxes lc rgb "#2c7fb8" title "garasu to (b)", \
	'' using ($0-0.1):(log10($5)):(0.19) with boxes lc rgb "#7fcdbb" title "tight to (b)", \
	'' using ($0+0.1):(log10($6)):(0.19) with boxes lc rgb "#253494" title "garasu to (a)", \
	'' using ($0+0.3):(log10($7)):(0.19) with boxes lc rgb "#41ae76" title "tight to (a)", \
	'' using ($0-0.3):(above($4)):(times($4)) with labels notitle, \
	'' using ($0-0.1):(above($5)):(times($5)) with labels notitle, \
	'' using ($0+0.1):(above($6)):(times($6)) with labels notitle, \
	'' using ($0+0.3):(above($7)):(times($7)) with labels notitle
