# For scripts/bench: bytes and CPU of both forms as parts of the peer's. data, output: -e
set terminal pngcairo size 1200,800 font "sans,11"
set output output
set multiplot layout 2,1
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 border -1
set grid ytics
set logscale y
set yrange [*:*]
set key top left
set xtics rotate by -15
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead dashtype 2
set title "Bytes, as a part of libvncserver's (given the rectangles that truly changed)"
plot data using 2:xtic(1) title "garasu" lc rgb "#2c7fb8", '' using 3 title "tight" lc rgb "#a1dab4"
set title "CPU, as a part of libvncserver's"
plot data using 4:xtic(1) title "garasu" lc rgb "#2c7fb8", '' using 5 title "tight" lc rgb "#a1dab4"
